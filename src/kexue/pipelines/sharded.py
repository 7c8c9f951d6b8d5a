"""A folder of shards, one for each piece of work, whoever does the work: nothing lost, nothing twice.

    OUTPUT/part-00000.jsonl ...         shards, each written beside its place and renamed
    OUTPUT/_quarantine/00000.jsonl ...  what of a piece could not be worked on, with file, line and reason
    OUTPUT/_job/job.json                of which model, options and pieces this is the output
    OUTPUT/_job/done.jsonl              one line for each piece that is done

The name of a shard follows from its piece, and a piece that is done twice, because a worker or the driver was killed
before it was noted, gives the same bytes under the same name. So a piece counts when its line is in `done.jsonl`, and
is done again otherwise. Names that begin with an underscore are no data to the readers of such folders.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from kexue.errors import DataError, OptionError
from kexue.files import write_json
from kexue.pipelines.resuming import alone, refuse_another
from kexue.version import __version__

BOOKS, QUARANTINE = "_job", "_quarantine"
MOST_TRIES = 4  # at a piece, before it is taken for one that no worker survives


@dataclass(frozen=True)
class Done:
    """What became of a piece: how many items its shard holds and of how many bytes it is, how many were rejected."""

    index: int
    items: int
    rejected: int
    bytes: int


Worker = Callable[[Any], Done]
"""Makes the shard of a piece."""


class Work(Protocol):
    """What there is to do with each piece; it can be sent to another machine, and opened there as a worker."""

    def open(self, device: str | None) -> Worker:
        """A worker, its model loaded onto a device; the best there is where left out."""

    def shard(self, index: int) -> Path:
        """Where the shard of a piece is written."""

    def lost(self, pieces: Sequence[Any]) -> Exception:
        """What to say of pieces that ended the processes of all workers that tried them."""


Engine = Callable[[Work, Sequence[Any]], Generator[Done]]
"""Does all pieces, in any order; one that cannot be done whoever tries is left out."""


@dataclass(frozen=True)
class OneByOne:
    """The engine of this process, on a device; the best there is where left out."""

    device: str | None = None

    def __call__(self, work: Work, pieces: Sequence[Any]) -> Generator[Done]:
        """What became of each piece, in order."""
        if pieces:
            yield from map(work.open(self.device), pieces)


@dataclass(frozen=True)
class Tries:
    """How often pieces were begun in a run, noted in files, which outlive a process that is killed."""

    output: Path

    def begin(self, index: int) -> int:
        """Note that a piece is begun; returns for which time."""
        path = self.output / BOOKS / f"tries-{index:05}"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:
            file.write(b".")
            return file.tell()

    def forget(self) -> None:
        """A new run tries everything anew."""
        for path in (self.output / BOOKS).glob("tries-*"):
            path.unlink(missing_ok=True)


@dataclass(frozen=True)
class Total:
    """What a folder of shards holds, of `pieces` pieces."""

    done: int
    pieces: int
    items: int
    rejected: int


Plan = Callable[[Mapping[str, Any] | None], tuple[dict[str, Any], Sequence[Any]]]
"""From the plan that an earlier run noted (None where there is none) to the plan, as JSON, and its pieces."""


def run_job(
    output: Path,
    identity: Mapping[str, Any],
    plan: Plan,
    work: Work,
    engine: Engine = OneByOne(),
    report: Callable[[Total], None] = lambda total: None,
) -> Total:
    """Do what is not done of the pieces of a plan.

    Args:
        output: folder of the shards.
        identity: what decides the results; a folder that was begun with another one is refused (`OptionError`).
        plan: the pieces, each with its `index`.
        work: what to do with each.
        engine: who does it.
        report: called before the first and after each piece.

    Raises what `work.lost` gives for pieces that no worker survived, when all others are done.
    """
    if output.is_file():
        raise OptionError(f"{output}: is a file, and shards are written to a folder")
    books = output / BOOKS
    books.mkdir(parents=True, exist_ok=True)
    with alone(books / "lock", output):
        pieces = _claim(books / "job.json", output, identity, plan)
        noted = {each.index: each for each in _noted(books / "done.jsonl")}
        done = {index for index, each in noted.items() if _stands(work.shard(index), each)}
        total = _sum(len(pieces), (noted[index] for index in done))
        report(total)
        left = [piece for piece in pieces if piece.index not in done]
        Tries(output).forget()
        with (books / "done.jsonl").open("ab") as log, closing(engine(work, left)) as stream:
            for each in stream:
                log.write(json.dumps(asdict(each)).encode() + b"\n")
                log.flush()
                os.fsync(log.fileno())
                done.add(each.index)
                total = _sum(len(pieces), [each], total)
                report(total)
        for unfinished in (*output.glob(".*.partial"), *(output / QUARANTINE).glob(".*.partial")):
            unfinished.unlink(missing_ok=True)
        Tries(output).forget()
    lost = [piece for piece in left if piece.index not in done]
    if lost:
        raise work.lost(lost)
    return total


def _claim(job: Path, output: Path, identity: Mapping[str, Any], plan: Plan) -> Sequence[Any]:
    """The pieces of a folder that is new, or that was begun as it would be now."""
    before = None
    if job.exists():
        try:
            record = json.loads(job.read_text(encoding="utf-8"))
            known, before = record["identity"], record["plan"]
        except (ValueError, KeyError, TypeError):
            raise DataError("is damaged: remove the folder of shards to start anew", path=job) from None
        refuse_another(output, known, identity)
    now, pieces = plan(before)
    if now != before:
        write_json(job, {"kexue": __version__, "identity": identity, "plan": now})
    return pieces


def _noted(log: Path) -> list[Done]:
    """What a log says is done; a line that a killed process left unfinished is cut off."""
    if not log.exists():
        return []
    with log.open("rb+") as file:
        content = file.read()
        whole = content[: content.rfind(b"\n") + 1]
        file.truncate(len(whole))
    return [Done(**json.loads(line)) for line in whole.splitlines()]


def _stands(shard: Path, done: Done) -> bool:
    return shard.is_file() and shard.stat().st_size == done.bytes


def _sum(pieces: int, added: Iterable[Done], total: Total | None = None) -> Total:
    done, items, rejected = (total.done, total.items, total.rejected) if total else (0, 0, 0)
    for each in added:
        done, items, rejected = done + 1, items + each.items, rejected + each.rejected
    return Total(done, pieces, items, rejected)
