"""What every reader stands on: text decoded with care, JSON records with their lines, a first look at a file."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kexue.errors import DataError


@dataclass(frozen=True)
class Sample:
    """What a format's `detect` may look at: the path, the first 64 KiB of text, the first JSON record if any."""

    path: Path
    head: str
    record: Any


def read_text(path: Path) -> str:
    """The file as text, byte-order mark removed; line ends are kept, because offsets count them.

    A name that ends in .gz is decompressed.

    Raises `DataError` for a missing or empty file, and for bytes that are not UTF-8, with their line.
    """
    data = _read_bytes(path)
    if not data.strip():
        raise DataError("is empty: there is nothing to read", path=path)
    return decode_utf8(data, path)


def decode_utf8(data: bytes, path: str | Path, *, line: int = 1) -> str:
    """Bytes of a file, from this line on, as text without a byte-order mark; raises `DataError` with the line."""
    try:
        return data.decode("utf-8-sig" if line == 1 else "utf-8")
    except UnicodeDecodeError as error:
        name = Path(path).name
        raise DataError(
            f"is not UTF-8 (byte 0x{data[error.start]:02x}); convert it first, for Chinese text often with: "
            f"iconv -f GB18030 -t UTF-8 {name} > utf8-{name}",
            path=path,
            line=line + data.count(b"\n", 0, error.start),
        ) from None


def _read_bytes(path: Path) -> bytes:
    try:
        data = path.read_bytes()
        return gzip.decompress(data) if path.suffix == ".gz" else data
    except EOFError:
        raise DataError("the compressed file was cut short; copy it again", path=path) from None
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror or error}", path=path) from None


def read_records(path: Path) -> Iterator[tuple[int, Any]]:
    """(line, record) of each record in a JSON Lines file or of each element of one JSON array.

    Lines count from 1; blank lines are passed over. Raises `DataError` at the first line that is not JSON; a file
    cut in the middle of a record is one of these.
    """
    text = read_text(path)
    if text.lstrip().startswith("["):
        yield from _array(text, path)
        return
    try:  # one object over several lines
        record = json.loads(text)
    except json.JSONDecodeError:
        yield from _lines(text, path)
    else:
        yield 1, record


def _lines(text: str, path: Path) -> Iterator[tuple[int, Any]]:
    # Not str.splitlines: U+2028 and U+0085 may stand inside a JSON string.
    for line, content in enumerate(text.split("\n"), start=1):
        if not content.strip():
            continue
        try:
            yield line, json.loads(content)
        except json.JSONDecodeError as error:
            raise DataError(
                f"is not a JSON record ({error.msg} at column {error.colno}): {content[:60]!r}; "
                "mend or remove this line (a file cut short ends like this)",
                path=path,
                line=line,
            ) from None


def _array(text: str, path: Path) -> Iterator[tuple[int, Any]]:
    decoder = json.JSONDecoder()
    position = _skip(text, text.index("[") + 1)
    line, counted = 1, 0
    while position < len(text) and text[position] != "]":
        line, counted = line + text.count("\n", counted, position), position
        try:
            record, end = decoder.raw_decode(text, position)
        except json.JSONDecodeError as error:
            raise DataError(
                f"is not a JSON array ({error.msg}); a file cut short ends like this", path=path, line=error.lineno
            ) from None
        yield line, record
        position = _skip(text, end)
        if text[position : position + 1] == ",":
            position = _skip(text, position + 1)
        elif text[position : position + 1] != "]":
            break
    if text[position : position + 1] != "]":
        last = text.count("\n") + 1
        raise DataError("the JSON array is not closed: the file was cut short", path=path, line=last)


def _skip(text: str, position: int) -> int:
    while position < len(text) and text[position] in " \t\r\n":
        position += 1
    return position
