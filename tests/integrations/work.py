"""Work for Ray's workers that dies, errs or tells on whom it ran; in a module of its own, which workers import."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from kexue.errors import DataError
from kexue.pipelines.sharded import Done, Work, Worker

PATIENCE = 60.0
"""Seconds for the workers to come together."""


@dataclass(frozen=True)
class Deadly:
    """Other work, whose worker is killed at one piece: half way through its shard, or when that is in its place.

    It happens `times` times, counted by files in `marks`.
    """

    work: Any
    marks: Path
    index: int
    times: int = 1
    after: bool = False

    @property
    def output(self) -> Path:
        """Where the shards are."""
        return Path(self.work.output)

    def open(self, device: str | None) -> Worker:
        """A worker that may die."""
        worker = self.work.open(device)

        def do(piece: Any) -> Done:
            if piece.index == self.index and self.after:
                worker(piece)
            if piece.index == self.index and len(list(self.marks.iterdir())) < self.times:
                (self.marks / str(time.time_ns())).touch()
                (self.output / f".{self.work.shard(piece.index).name}.x.partial").write_bytes(b'{"id": "n')
                os.kill(os.getpid(), signal.SIGKILL)
            return worker(piece)

        return do

    def shard(self, index: int) -> Path:
        """Where the shard of a piece is written."""
        return Path(self.work.shard(index))

    def lost(self, pieces: Any) -> Exception:
        """As the other work says."""
        error: Exception = self.work.lost(pieces)
        return error


@dataclass(frozen=True)
class Piece:
    """A number."""

    index: int


@dataclass(frozen=True)
class Telling:
    """Each piece becomes a file that says where it was done; the piece `wrong` raises an error instead.

    No piece is done before so many workers are `together`: one that starts sooner would take the work of the others.
    """

    output: Path
    seconds: float = 0.0
    together: int = 1
    wrong: int = -1
    mistake: bool = False

    def open(self, device: str | None) -> Worker:
        """A worker that tells."""
        return partial(self.tell, device)

    def tell(self, device: str | None, piece: Piece) -> Done:
        """Write process, node, GPUs and threads."""
        import ray
        import torch

        if piece.index == self.wrong:
            if self.mistake:
                raise DataError("is wrong", path="a.txt", line=3)
            raise ZeroDivisionError("a bug")
        self._meet()
        time.sleep(self.seconds)
        context = ray.get_runtime_context()
        gpus = ",".join(context.get_accelerator_ids()["GPU"])
        told = f"{os.getpid()} {context.get_node_id()} {device} gpus={gpus} threads={torch.get_num_threads()}"
        self.shard(piece.index).write_text(told)
        return Done(piece.index, 1, 0, len(told))

    def _meet(self) -> None:
        (self.output / f"worker-{os.getpid()}").touch()
        deadline = time.monotonic() + PATIENCE
        while len(list(self.output.glob("worker-*"))) < self.together and time.monotonic() < deadline:
            time.sleep(0.02)

    def shard(self, index: int) -> Path:
        """The file of a piece."""
        return self.output / str(index)

    def lost(self, pieces: Any) -> Exception:
        """Nothing is lost here."""
        return AssertionError(pieces)


def told(work: Work, indices: range) -> list[list[str]]:
    """What the files say, in words."""
    paths = [work.shard(index) for index in indices]
    return [path.read_text().split() for path in paths if path.exists()]
