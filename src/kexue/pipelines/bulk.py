"""A file of texts to a file of documents, in bounded memory, and from where it stopped if it was killed.

Results go to `OUTPUT.partial`, flushed to disk chunk by chunk; it becomes OUTPUT when all is done. Beside it
`OUTPUT.partial.job` says of which input, model and options it is the beginning, so that a resumed run can only
continue its own work. A run resumes at the beginning of a chunk: texts that are batched together then are the same
as in an unbroken run, and so is every digit of the output.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Any

from filelock import FileLock, Timeout

from kexue.errors import DataError, OptionError
from kexue.extraction.document import Document
from kexue.extraction.formats.source import decode_utf8
from kexue.files import write_json
from kexue.pipelines.extractor import CHUNK, Extractor, in_chunks

TEXT_SUFFIXES = (".txt", ".text")
JSON_SUFFIXES = (".json", ".jsonl", ".ndjson")


@dataclass(frozen=True)
class Progress:
    """How far an extraction has come: documents done, and bytes of the input read."""

    documents: int
    position: int


def read_stream(lines: Iterable[bytes], *, source: str) -> Iterator[Document]:
    """Documents from UTF-8 lines: JSON objects with a "text", or plain text, one document a line.

    Which of the two is decided by the suffix of `source`, else by the first line. Blank lines are passed over; a
    document without an id has its line number as `meta["line"]`. Raises `DataError` with the line for what is neither.
    """
    json_lines = _by_suffix(source)
    for number, raw in enumerate(lines, start=1):
        line = decode_utf8(raw, source, line=number).rstrip("\r\n")
        if not line.strip():
            continue
        if json_lines is None:
            json_lines = line.lstrip().startswith("{")
        document = _from_json(line, source, number) if json_lines else Document(line)
        if document.id is None:
            document.meta.setdefault("line", number)
        yield document


def _by_suffix(source: str) -> bool | None:
    suffix = Path(source).suffix.lower()
    return True if suffix in JSON_SUFFIXES else False if suffix in TEXT_SUFFIXES else None


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
    identity, meta = record.get("id"), record.get("meta") or {}
    if not isinstance(meta, dict):
        raise DataError(f'"meta" must be an object, got {type(meta).__name__}', path=source, line=number)
    return Document(record["text"], id=None if identity is None else str(identity), meta=meta)


def extract_stream(
    extractor: Extractor, documents: Iterable[Document], output: IO[bytes], *, chunk: int = CHUNK, **options: Any
) -> int:
    """Write one JSON object a line for each document, chunk by chunk; returns how many."""
    count = 0
    for part in in_chunks(documents, chunk):
        _write(extractor.extract(part, **options), output)
        count += len(part)
    return count


def _write(documents: Iterable[Document], output: IO[bytes]) -> None:
    for document in documents:
        line = json.dumps(document.to_json(), ensure_ascii=False) + "\n"
        # A lone surrogate has no UTF-8; written with a backslash it is the JSON escape that it was read from.
        output.write(line.encode("utf-8", errors="backslashreplace"))
    output.flush()


def extract_file(
    extractor: Extractor,
    source: Path,
    output: Path,
    *,
    report: Callable[[Progress], None] = lambda progress: None,
    chunk: int = CHUNK,
    **options: Any,
) -> int:
    """Extract from every document of `source` into `output`; returns how many it holds in the end.

    A partial output of the same input, model and options is continued; raises `OptionError` if it is of others.
    """
    if output.is_dir() or output.resolve() == source.resolve():
        raise OptionError(
            f"{output}: the output must be a file of its own, not {'a folder' if output.is_dir() else 'the input'}"
        )
    partial = output.with_name(output.name + ".partial")
    job = output.with_name(output.name + ".partial.job")
    output.parent.mkdir(parents=True, exist_ok=True)
    with _alone(partial):
        _claim(
            partial, job, {"input": _fingerprint(source), **_identity(extractor), "options": options | {"chunk": chunk}}
        )
        done = _completed(partial, chunk)
        with source.open("rb") as file, partial.open("ab") as sink:
            documents = read_stream(file, source=str(source))
            for _ in islice(documents, done):
                pass
            for part in in_chunks(documents, chunk):
                _write(extractor.extract(part, **options), sink)
                os.fsync(sink.fileno())
                done += len(part)
                report(Progress(done, file.tell()))
        partial.replace(output)
        job.unlink(missing_ok=True)
    return done


@contextmanager
def _alone(partial: Path) -> Iterator[None]:
    """Hold a partial output for this process; the system lets go of it however the process ends."""
    lock = FileLock(partial.with_name(partial.name + ".lock"), timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise OptionError(
            f"{partial} is being written by another process; wait for it, or choose another output"
        ) from None
    try:
        yield
    finally:
        Path(lock.lock_file).unlink(missing_ok=True)
        lock.release()


def _identity(extractor: Extractor) -> dict[str, Any]:
    """What of an extractor decides its results."""
    return {
        "model": extractor.fingerprint,
        "thresholds": extractor.decision.to_json(),
        "constraints": extractor.schema.to_json(),
        "dtype": f"{extractor.dtype}, compiled" if extractor.compiled else extractor.dtype,
    }


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
        before, now = json.loads(job.read_text(encoding="utf-8")), json.loads(json.dumps(identity))
        changed = sorted(key for key in before.keys() | now.keys() if before.get(key) != now.get(key))
        if changed:
            raise OptionError(
                f"{partial} was begun with another {' and '.join(changed)}: remove it to start anew, "
                "or give what it was begun with to continue"
            )
        return
    partial.unlink(missing_ok=True)
    write_json(job, identity)
    partial.touch()


def _completed(partial: Path, chunk: int) -> int:
    """Lines of whole chunks in a partial output; what a killed process left of another chunk is cut off."""
    count, position, end = 0, 0, 0
    with partial.open("rb+") as file:
        for line in file:
            if not line.endswith(b"\n"):
                break
            count, position = count + 1, position + len(line)
            if count % chunk == 0:
                end = position
        file.truncate(end)
    return count - count % chunk
