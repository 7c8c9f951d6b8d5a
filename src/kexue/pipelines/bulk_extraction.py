"""Files of texts to a folder of shards of documents: what `kexue extract` does with more than one file, or with Ray."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from kexue.errors import CheckpointError, DataError, KexueError, OptionError
from kexue.extraction.document import Document
from kexue.pipelines.bulk import identity_of
from kexue.pipelines.extractor import CHUNK, Extractor, in_chunks
from kexue.pipelines.hub import resolved
from kexue.pipelines.pieces import SHARD_SIZE, Inputs, Piece, cut, find_inputs, form_of
from kexue.pipelines.quarantine import quarantine
from kexue.pipelines.reading import MAX_CHARACTERS, read_piece, too_long
from kexue.pipelines.resuming import fingerprint
from kexue.pipelines.sharded import BOOKS, QUARANTINE, Done, Engine, OneByOne, Total, Worker, run_job
from kexue.pipelines.shards import SHARDS, check_form, no_utf8


@dataclass(frozen=True)
class ExtractionOptions:
    """How documents are extracted and written.

    Args:
        precision: use the thresholds that reached this precision on dev.
        threshold: report everything from this confidence on.
        dtype: "float32" or "bfloat16".
        batch_tokens: tokens in a batch; what suits the device where left out.
        max_characters: a longer document is put into quarantine, so that none can exhaust a worker's memory.
        form: "jsonl" or "parquet".
        compile: compile the encoder first.
    """

    precision: float | None = None
    threshold: float | None = None
    dtype: Literal["float32", "bfloat16"] = "float32"
    batch_tokens: int | None = None
    max_characters: int = MAX_CHARACTERS
    form: str = "jsonl"
    compile: bool = False

    def load(self, model: str, device: str | None = None) -> Extractor:
        """The extractor of a folder or hub id, with these thresholds."""
        extractor = Extractor.from_pretrained(model, device=device, dtype=self.dtype, compile=self.compile)
        if self.precision is not None:
            extractor = extractor.with_precision(self.precision)
        return extractor if self.threshold is None else extractor.with_threshold(self.threshold)


@dataclass(frozen=True)
class Extraction:
    """The work of extracting from pieces of files below `root` into shards in `output`.

    `fingerprint` is that of the model; a worker that finds another one under its name, on another machine, refuses.
    """

    model: str
    options: ExtractionOptions
    root: Path
    output: Path
    fingerprint: str

    def open(self, device: str | None) -> Worker:
        """Load the model; raises `CheckpointError` if it is not the one the job was begun with."""
        extractor = self.options.load(self.model, device)
        if extractor.fingerprint != self.fingerprint:
            raise CheckpointError(f"{self.model}: a worker has another model under this name than the job was given")
        return partial(self.extract, extractor)

    def extract(self, extractor: Extractor, piece: Piece) -> Done:
        """Make the shard of a piece, `CHUNK` documents at a time; what was rejected is in place before it."""
        shard, items, rejected = self.shard(piece.index), 0, 0
        rejects = self.output / QUARANTINE / f"{piece.index:05}.jsonl"
        with SHARDS[self.options.form](shard) as write, quarantine(rejects) as reject:

            def documents() -> Iterator[Document]:
                nonlocal rejected
                for item in read_piece(self.root, piece, self._why_not):
                    if isinstance(item, Document):
                        yield item
                    else:
                        reject(item)
                        rejected += item.count

            for part in in_chunks(documents(), CHUNK):
                write(extractor.extract(part, batch_tokens=self.options.batch_tokens))
                items += len(part)
        return Done(piece.index, items, rejected, shard.stat().st_size)

    def shard(self, index: int) -> Path:
        """Where the shard of a piece is written."""
        return self.output / f"part-{index:05}.{self.options.form}"

    def lost(self, pieces: Sequence[Piece]) -> KexueError:
        """What to say of pieces that ended the processes of all workers that tried them."""
        first = pieces[0]
        others = f" (and {len(pieces) - 1} more pieces)" if len(pieces) > 1 else ""
        return DataError(
            f"the documents from here to line {first.last}{others} ended every worker that tried them, which is mostly "
            "a lack of memory: all others are done; the same command with fewer --workers tries these again",
            path=self.root / first.file,
            line=first.first,
        )

    def _why_not(self, document: Document) -> str | None:
        reason = too_long(document, self.options.max_characters)
        return no_utf8(document) if reason is None and self.options.form == "parquet" else reason


def extract_folder(
    model: str,
    given: Path,
    output: Path,
    options: ExtractionOptions,
    *,
    shard_size: int = SHARD_SIZE,
    engine: Engine = OneByOne(),  # noqa: B008  (frozen)
    report: Callable[[Total], None] = lambda total: None,
) -> Total:
    """Extract from a file, a folder or a pattern of files into a folder of shards; the same call resumes.

    Files that came into the input since are done too. Raises `OptionError` if the folder was begun with another model
    or other options, and `DataError` if a file has changed or is gone since, or if no document at all can be read.
    """
    check_form(options.form)
    inputs = _apart(find_inputs(given), output.resolve())
    extractor = options.load(model, "cpu")
    chosen = {"batch_tokens": options.batch_tokens, "max_characters": options.max_characters, "chunk": CHUNK}
    identity = {"job": "extraction", **identity_of(extractor), "options": chosen, "format": options.form}
    root, output = inputs.root, output.resolve()
    work = Extraction(resolved(model), options, root, output, extractor.fingerprint)
    del extractor
    plan = partial(plan_files, inputs, output, shard_size)
    total = run_job(output, identity | {"shard size": shard_size}, plan, work, engine, report)
    if total.rejected and not total.items:
        raise DataError(
            f"none of its {total.rejected} lines could be read as a document; why is told in {output / QUARANTINE}",
            path=given,
        )
    return total


def plan_files(
    inputs: Inputs, output: Path, shard_size: int, before: Mapping[str, Any] | None
) -> tuple[dict[str, Any], list[Piece]]:
    """The pieces of all files: those of an earlier plan as they were, then those of new files."""
    known = {record["name"]: record for record in (before or {}).get("files", ())}
    gone = [name for name in known if name not in inputs.files]
    if gone:
        raise DataError(f"was part of the input when {output} was begun, and is gone", path=inputs.root / gone[0])
    new = [name for name in inputs.files if name not in known]
    for name, record in known.items():
        found = fingerprint(inputs.root / name)
        if any(record[key] != value for key, value in found.items()):
            raise DataError(
                f"has changed since {output} was begun: choose another output, or put what is new into a new file",
                path=inputs.root / name,
            )
    records = [*known.values(), *(_record(inputs.root, name, shard_size) for name in new)]
    pieces: list[Piece] = []
    for record in records:
        for place in record["pieces"]:
            pieces.append(Piece(len(pieces), record["name"], record["form"], *place))
    return {"files": records}, pieces


def _record(root: Path, name: str, shard_size: int) -> dict[str, Any]:
    path = root / name
    found = fingerprint(path)  # before it is cut: what is appended meanwhile is noticed by the next run
    form = form_of(path)
    return {"name": name, "form": form, **found, "pieces": [list(place) for place in cut(path, form, shard_size)]}


def _apart(inputs: Inputs, output: Path) -> Inputs:
    """The input without the shards of an earlier run; raises `OptionError` if other input lies in the output folder."""
    own = [name for name in inputs.files if (inputs.root / name).is_relative_to(output)]
    if inputs.root == output or (own and not (output / BOOKS).exists()):
        raise OptionError(f"{output}: the input lies in this folder; shards need a folder of their own")
    return replace(inputs, files=tuple(name for name in inputs.files if name not in own))
