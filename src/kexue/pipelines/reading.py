"""A piece of the input as documents, and what is none as a `Reject` with its place and the reason.

Nothing that a document can be stops the reading of those after it: a line that is no JSON or not UTF-8, a record
without a text, one that is too long, rows of Parquet that are damaged.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from kexue.errors import DataError
from kexue.extraction.document import Document
from kexue.extraction.formats.source import decode_utf8, open_bytes
from kexue.pipelines.bulk import decode_line, document_of
from kexue.pipelines.pieces import Piece, open_parquet
from kexue.pipelines.quarantine import Reject

MAX_LINE = 64 * 2**20  # bytes of a line that are held in memory
MAX_CHARACTERS = 1_000_000
ROWS = 1024  # of Parquet that are decoded at a time
COLUMNS = ("text", "id", "meta")


Check = Callable[[Document], str | None]
"""Why a document cannot be worked on; None where it can."""


def read_piece(root: Path, piece: Piece, check: Check) -> Iterator[Document | Reject]:
    """The documents of a piece in order, with a `Reject` for each that is wrong or that `check` has a reason against.

    A document without an id has its place as `meta["file"]` and `meta["line"]`. Raises `DataError` if the file is gone
    or has become shorter.
    """
    records, parse = FORMS[piece.form]
    for number, record in records(root / piece.file, piece):
        if isinstance(record, Reject):
            yield record
            continue
        try:
            document = parse(record, number)
            reason = None if document is None else check(document)
        except DataError as error:
            document, reason = None, error.reason
        if reason is not None:
            yield Reject(piece.file, number, reason, _content(record))
        elif document is not None:
            if document.id is None:
                document.meta.setdefault("file", piece.file)
            yield document


def too_long(document: Document, limit: int = MAX_CHARACTERS) -> str | None:
    """Why a document is too long, where it is."""
    length = len(document.text)
    return f"has {length:,} characters, more than the {limit:,} of --max-characters" if length > limit else None


# --- lines ---


def _lines(path: Path, piece: Piece) -> Iterator[tuple[int, bytes | Reject]]:
    number, position = piece.first, piece.start
    with open_bytes(path) as file:
        file.seek(piece.start)
        while position < piece.end:
            raw = file.readline(MAX_LINE)
            if not raw:
                raise DataError("has become shorter since the job began", path=path)
            position += len(raw)
            whole = len(raw) < MAX_LINE or raw.endswith(b"\n")
            while not whole:  # what is too long is passed over, never held
                rest = file.readline(MAX_LINE)
                position, whole = position + len(rest), len(rest) < MAX_LINE or rest.endswith(b"\n")
                raw = b""
            yield number, raw or Reject(piece.file, number, f"is longer than {MAX_LINE:,} bytes")
            number += 1


def _from_line(raw: bytes, number: int, *, json_lines: bool) -> Document | None:
    line = decode_line(raw, "this line", number)
    return None if line is None else document_of(line, "this line", number, json_lines=json_lines)


# --- rows of Parquet ---


def _rows(path: Path, piece: Piece) -> Iterator[tuple[int, dict[str, Any] | Reject]]:
    file = open_parquet(path)
    number = piece.first
    try:
        for batch in _batches(file, piece):
            columns = [_plain(batch.column(name)) for name in batch.schema.names]
            for values in zip(*columns, strict=True):
                yield number, dict(zip(batch.schema.names, values, strict=True))
                number += 1
    except (OSError, pyarrow_error()) as error:
        lost = piece.last - number + 1
        yield number, Reject(piece.file, number, f"rows from here to {piece.last} are damaged: {error}", count=lost)
    finally:
        file.close()


def _batches(file: Any, piece: Piece) -> Iterator[Any]:
    """The rows of a piece, in batches; only the row groups that hold them are read."""
    groups, before, skip = [], 0, 0
    for group in range(file.metadata.num_row_groups):
        rows = file.metadata.row_group(group).num_rows
        if before < piece.last and before + rows >= piece.first:
            skip = skip if groups else piece.first - 1 - before
            groups.append(group)
        before += rows
    left = piece.count
    columns = [name for name in COLUMNS if name in file.schema_arrow.names]
    for batch in file.iter_batches(ROWS, row_groups=groups, columns=columns, use_threads=False):
        wanted = batch.slice(skip, left)
        skip, left = max(0, skip - batch.num_rows), left - wanted.num_rows
        if wanted.num_rows:
            yield wanted
        if not left:
            return


def _plain(column: Any) -> list[Any]:
    """Values of a column, strings as bytes: Arrow does not look whether they are UTF-8."""
    import pyarrow
    from pyarrow import types

    if types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if types.is_string(column.type) or types.is_large_string(column.type):
        column = column.cast(pyarrow.large_binary())
    values: list[Any] = column.to_pylist()
    return values


def _from_row(row: dict[str, Any], number: int) -> Document:
    text = row["text"]
    if not isinstance(text, bytes):
        raise DataError(f'has no string "text", but {"none" if text is None else type(text).__name__}')
    identity = _decoded(row.get("id"))
    document = Document(decode_utf8(text, "this row", line=number), meta=_meta(row.get("meta")))
    if identity is None:
        document.meta.setdefault("line", number)
    else:
        document.id = str(identity)
    return document


def _meta(value: Any) -> dict[str, Any]:
    """What a column of JSON or of structs says, as JSON."""
    try:
        meta = json.loads(_decoded(value)) if isinstance(value, bytes) else json.loads(json.dumps(value, default=str))
    except (ValueError, RecursionError) as error:
        raise DataError(f'"meta" is no JSON: {error}') from None
    if not isinstance(meta, dict | None):
        raise DataError(f'"meta" must be an object, got {type(meta).__name__}')
    return meta or {}


def _decoded(value: Any) -> Any:
    return decode_utf8(value, "this row", line=2) if isinstance(value, bytes) else value


def pyarrow_error() -> type[Exception]:
    """What pyarrow raises for damaged pages."""
    import pyarrow

    error: type[Exception] = pyarrow.ArrowException
    return error


def _content(record: bytes | dict[str, Any]) -> bytes:
    """The bytes of a record: a line, or a text that a row has, or else the row."""
    if isinstance(record, bytes):
        return record
    if isinstance(record["text"], bytes):
        return record["text"]
    return json.dumps(record, ensure_ascii=False, default=repr).encode("utf-8", errors="backslashreplace")


FORMS: dict[str, tuple[Callable[..., Iterator[tuple[int, Any]]], Callable[..., Document | None]]] = {
    "json": (_lines, partial(_from_line, json_lines=True)),
    "text": (_lines, partial(_from_line, json_lines=False)),
    "parquet": (_rows, _from_row),
}
"""How records are taken out of a file, and what makes a document of one."""
