"""The files that `kexue extract` writes, line by line, however large they are."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO

from kexue.errors import DataError
from kexue.extraction.document import Document
from kexue.extraction.formats import native
from kexue.extraction.formats.source import decode_utf8, open_bytes, parse_json, reason
from kexue.integrations.graph.keys import KeyFunction, entity_key
from kexue.integrations.graph.statements import Source, to_source

Report = Callable[[int], None]
"""Told how many bytes of the files have been read."""


def read_facts(
    paths: Iterable[Path], key: KeyFunction = entity_key, *, report: Report = lambda position: None
) -> Iterator[Source]:
    """What the documents of JSON Lines files state, also of files that end in .gz; one line is in memory at a time.

    Raises `DataError` with file and line for a line that is no document in the native format.
    """
    done = 0
    for path in paths:
        with open_bytes(path) as file:
            for number, line in _lines(file, path):
                report(done + file.tell())
                if line.strip():
                    yield _source(line, path, number, key)
            done += file.tell()


def _lines(file: IO[bytes], path: Path) -> Iterator[tuple[int, str]]:
    number = 0
    lines: IO[bytes] = gzip.GzipFile(fileobj=file) if path.suffix == ".gz" else file  # type: ignore[assignment]
    try:
        for number, raw in enumerate(lines, start=1):
            yield number, decode_utf8(raw, path, line=number)
    except (EOFError, gzip.BadGzipFile, zlib.error):
        raise DataError(
            "the compressed file is damaged or was cut short; copy it again", path=path, line=number + 1
        ) from None


def _source(line: str, path: Path, number: int, key: KeyFunction) -> Source:
    try:
        return to_source(_document(line), key, f"{path}:{number}")
    except DataError as error:
        raise DataError(str(error), path=path, line=number) from None


def _document(line: str) -> Document:
    try:
        record = parse_json(line)
    except ValueError as error:
        raise DataError(
            f"is not a JSON record ({reason(error)}): {line[:60]!r}; mend or remove this line "
            "(a file cut short ends like this)"
        ) from None
    if not isinstance(record, dict):
        raise DataError(
            "is not one document, an object a line as `kexue extract` writes it; "
            "`kexue convert` makes such a file from others"
        )
    return native.from_record(record)
