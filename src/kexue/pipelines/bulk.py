"""A file of texts to a file of documents, in bounded memory, and from where it stopped if it was killed.

Results go to `OUTPUT.partial`, flushed to disk chunk by chunk; it becomes OUTPUT when all is done. Beside it
`OUTPUT.partial.job` says of which input, model and options it is the beginning, so that a resumed run can only
continue its own work. A run resumes at the beginning of a chunk: texts that are batched together then are the same
as in an unbroken run, and so is every digit of the output.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Any

from kexue.errors import DataError, OptionError
from kexue.extraction.document import Document
from kexue.extraction.formats.source import decode_utf8, parse_json, reason
from kexue.files import refuse_inputs, write_json
from kexue.pipelines.extractor import CHUNK, Extractor, in_chunks
from kexue.pipelines.resuming import alone, fingerprint, refuse_another

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
    json_lines = by_suffix(source)
    for number, raw in enumerate(lines, start=1):
        line = decode_line(raw, source, number)
        if line is None:
            continue
        if json_lines is None:
            json_lines = looks_like_json(line)
        yield document_of(line, source, number, json_lines=json_lines)


def decode_line(raw: bytes, source: str, number: int) -> str | None:
    """The text of a line, None for a blank one; raises `DataError` where it is not UTF-8."""
    line = decode_utf8(raw, source, line=number).rstrip("\r\n")
    return line if line.strip() else None


def document_of(line: str, source: str, number: int, *, json_lines: bool) -> Document:
    """The document that a line holds; raises `DataError` with the line where it holds none."""
    document = _from_json(line, source, number) if json_lines else Document(line)
    if document.id is None:
        document.meta.setdefault("line", number)
    return document


def looks_like_json(line: str) -> bool:
    """Whether the first line of a file that says nothing by its suffix begins a JSON object."""
    return line.lstrip().startswith("{")


def by_suffix(source: str) -> bool | None:
    """Whether the lines of a file of this name are JSON (True) or plain text (False); None where it does not say."""
    suffix = Path(source).suffix.lower()
    return True if suffix in JSON_SUFFIXES else False if suffix in TEXT_SUFFIXES else None


def _from_json(line: str, source: str, number: int) -> Document:
    try:
        record = parse_json(line)
    except ValueError as error:
        raise DataError(
            f'is not a JSON record ({reason(error)}); one object with a "text" on each line', path=source, line=number
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
        write_lines(extractor.extract(part, **options), output)
        count += len(part)
    return count


def write_lines(documents: Iterable[Document], output: IO[bytes]) -> None:
    """Write one JSON object a line for each document, and flush."""
    for document in documents:
        line = json.dumps(document.to_json(), ensure_ascii=False) + "\n"
        # A lone surrogate has no UTF-8; written with a backslash it is the JSON escape that it was read from.
        output.write(line.encode("utf-8", errors="backslashreplace"))
    output.flush()


def check_output(source: Path, output: Path, *, overwrite: bool) -> None:
    """Raise `OptionError` for an output that is the input, a folder, or finished already and not to be overwritten."""
    refuse_inputs([output], [source])
    if output.is_dir():
        raise OptionError(f"{output}: the output must be a file of its own, not a folder")
    if output.exists() and not overwrite:
        raise OptionError(f"{output} is there already and finished; choose another --output or --overwrite it")


def extract_file(
    extractor: Extractor,
    source: Path,
    output: Path,
    *,
    report: Callable[[Progress], None] = lambda progress: None,
    chunk: int = CHUNK,
    overwrite: bool = False,
    **options: Any,
) -> int:
    """Extract from every document of `source` into `output`; returns how many it holds in the end.

    A partial output of the same input, model and options is continued; raises `OptionError` if it is of others, and
    for a finished one unless it is to be overwritten.
    """
    check_output(source, output, overwrite=overwrite)
    partial = _partial(output)
    job = partial.with_name(partial.name + ".job")
    output.parent.mkdir(parents=True, exist_ok=True)
    with alone(partial.with_name(partial.name + ".lock"), partial):
        identity = {"input": _fingerprint(source), **identity_of(extractor), "options": options | {"chunk": chunk}}
        _claim(partial, job, identity)
        done = _completed(partial, chunk)
        with source.open("rb") as file, partial.open("ab") as sink:
            documents = read_stream(file, source=str(source))
            for _ in islice(documents, done):
                pass
            for part in in_chunks(documents, chunk):
                write_lines(extractor.extract(part, **options), sink)
                os.fsync(sink.fileno())
                done += len(part)
                report(Progress(done, file.tell()))
        partial.replace(output)
        job.unlink(missing_ok=True)
    return done


def identity_of(extractor: Extractor) -> dict[str, Any]:
    """What of an extractor decides its results."""
    return {
        "model": extractor.fingerprint,
        "thresholds": extractor.decision.to_json(),
        "constraints": extractor.schema.to_json(),
        "dtype": f"{extractor.dtype}, compiled" if extractor.compiled else extractor.dtype,
    }


def _fingerprint(path: Path) -> dict[str, Any]:
    found = fingerprint(path)
    if not found["bytes"]:
        raise DataError("is empty: there is nothing to extract from", path=path)
    return found


def _claim(partial: Path, job: Path, identity: dict[str, Any]) -> None:
    """Start a partial output, or make sure that the one there is the beginning of this job."""
    if partial.exists() and job.exists():
        refuse_another(partial, json.loads(job.read_text(encoding="utf-8")), identity)
        return
    partial.unlink(missing_ok=True)
    write_json(job, identity)
    partial.touch()


def kept(output: Path, *, chunk: int = CHUNK) -> int:
    """How many documents of an interrupted extraction into `output` the same call does not do again."""
    partial = _partial(output)
    if not partial.exists():
        return 0
    with partial.open("rb") as file:
        return _whole_chunks(file, chunk)[0]


def _partial(output: Path) -> Path:
    return output.with_name(output.name + ".partial")


def _completed(partial: Path, chunk: int) -> int:
    """Lines of whole chunks in a partial output; what a killed process left of another chunk is cut off."""
    with partial.open("rb+") as file:
        count, end = _whole_chunks(file, chunk)
        file.truncate(end)
    return count


def _whole_chunks(file: IO[bytes], chunk: int) -> tuple[int, int]:
    """Lines of whole chunks at the beginning of a partial output, and their bytes."""
    count, position, end = 0, 0, 0
    for line in file:
        if not line.endswith(b"\n"):
            break
        count, position = count + 1, position + len(line)
        if count % chunk == 0:
            end = position
    return count - count % chunk, end
