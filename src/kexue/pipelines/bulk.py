"""A file of texts to a file of documents, in bounded memory, and from where it stopped if it was killed.

Results go to `OUTPUT.partial`, flushed to disk chunk by chunk; it becomes OUTPUT when all is done. Beside it
`OUTPUT.partial.job` says of which input, model and options it is the beginning, so that a resumed run can only
continue its own work.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Any

from kexue.errors import DataError, OptionError
from kexue.extraction.document import Document
from kexue.files import atomic_write
from kexue.pipelines.extractor import CHUNK, Extractor

TEXT_SUFFIXES = (".txt", ".text")


@dataclass(frozen=True)
class Progress:
    """How far an extraction has come: documents done, and bytes of the input read (None for a stream)."""

    documents: int
    position: int | None


def read_stream(lines: Iterable[str], *, source: str, json_lines: bool | None = None) -> Iterator[Document]:
    """Documents from lines: JSON objects with a "text", or plain text, one document a line.

    What it is is decided by the first line unless `json_lines` says so. Blank lines are passed over. A document
    without an id gets its line number. Raises `DataError` with the line for what is neither.
    """
    for number, raw in enumerate(lines, start=1):
        line = raw.rstrip("\n")
        if not line.strip():
            continue
        if json_lines is None:
            json_lines = line.lstrip().startswith("{")
        document = _from_json(line, source, number) if json_lines else Document(line.rstrip("\r"))
        document.id = document.id if document.id is not None else str(number)
        yield document


def _from_json(line: str, source: str, number: int) -> Document:
    try:
        record = json.loads(line)
    except json.JSONDecodeError as error:
        raise DataError(
            f'is not a JSON record ({error.msg} at column {error.colno}); one object with a "text" on each line',
            path=source,
            line=number,
        ) from None
    if not isinstance(record, dict) or not isinstance(record.get("text"), str):
        raise DataError('has no string "text"', path=source, line=number)
    identity = record.get("id")
    return Document(record["text"], id=None if identity is None else str(identity), meta=dict(record.get("meta") or {}))


def extract_stream(
    extractor: Extractor, documents: Iterable[Document], output: IO[str], *, chunk: int = CHUNK, **options: Any
) -> int:
    """Write one JSON object a line for each document; returns how many."""
    count = 0
    for document in extractor.pipe(documents, chunk=chunk, **options):
        output.write(json.dumps(document.to_json(), ensure_ascii=False) + "\n")
        count += 1
    output.flush()
    return count


def extract_file(
    extractor: Extractor,
    source: Path,
    output: Path,
    *,
    identity: dict[str, Any],
    report: Callable[[Progress], None] = lambda progress: None,
    chunk: int = CHUNK,
    **options: Any,
) -> int:
    """Extract from every document of `source` into `output`; returns how many it holds in the end.

    `identity` names the model and the options that change results; with the input it decides whether a partial
    output may be continued. Raises `OptionError` if a partial output belongs to another job.
    """
    partial = output.with_name(output.name + ".partial")
    job = output.with_name(output.name + ".partial.job")
    output.parent.mkdir(parents=True, exist_ok=True)
    _claim(partial, job, {"input": _fingerprint(source), **identity})
    done = _completed(partial)
    with source.open("rb") as file, partial.open("a", encoding="utf-8", newline="\n") as sink:
        lines = _decoded(file, source)
        json_lines = False if source.suffix.lower() in TEXT_SUFFIXES else None
        documents = read_stream(lines, source=str(source), json_lines=json_lines)
        for _ in islice(documents, done):
            pass
        while part := list(islice(documents, chunk)):
            done += extract_stream(extractor, part, sink, chunk=chunk, **options)
            os.fsync(sink.fileno())
            report(Progress(done, file.tell()))
    partial.replace(output)
    job.unlink(missing_ok=True)
    return done


def _decoded(file: IO[bytes], source: Path) -> Iterator[str]:
    for number, line in enumerate(file, start=1):
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise DataError(
                f"is not UTF-8 (byte 0x{line[error.start]:02x}); convert the file first, for Chinese text often with: "
                f"iconv -f GB18030 -t UTF-8 {source.name} > utf8-{source.name}",
                path=source,
                line=number,
            ) from None


def _fingerprint(path: Path) -> dict[str, Any]:
    """Size and digest of both ends: enough to notice that it is another file, fast for a large one."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(2**20)
            file.seek(max(0, size - 2**20))
            digest = hashlib.sha256(head + file.read()).hexdigest()
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", path=path) from None
    if not size:
        raise DataError("is empty: there is nothing to extract from", path=path)
    return {"bytes": size, "sha256_of_ends": digest}


def _claim(partial: Path, job: Path, identity: dict[str, Any]) -> None:
    """Start a partial output, or make sure that the one there is the beginning of this job."""
    if partial.exists() and job.exists():
        before = json.loads(job.read_text(encoding="utf-8"))
        if before != json.loads(json.dumps(identity)):
            changed = sorted(key for key in before.keys() | identity.keys() if before.get(key) != identity.get(key))
            raise OptionError(
                f"{partial} was begun with another {' and '.join(changed)}: remove it to start anew, "
                "or give what it was begun with to continue"
            )
        return
    partial.unlink(missing_ok=True)
    with atomic_write(job) as file:
        json.dump(identity, file)
    partial.touch()


def _completed(partial: Path) -> int:
    """Whole lines in a partial output; half a line that a killed process left at the end is cut off."""
    count, end = 0, 0
    with partial.open("rb+") as file:
        for line in file:
            if line.endswith(b"\n"):
                count, end = count + 1, end + len(line)
        file.truncate(end)
    return count
