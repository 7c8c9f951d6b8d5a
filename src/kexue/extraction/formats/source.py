"""What every reader stands on: text decoded with care, JSON records with their lines, a first look at a file."""

from __future__ import annotations

import codecs
import gzip
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from kexue.errors import DataError
from kexue.files import expansion_limit


@dataclass(frozen=True)
class Sample:
    """What a format's `detect` may look at: the path, the first 64 KiB of text, the first JSON record if any."""

    path: Path
    head: str
    record: Any


def read_text(path: Path) -> str:
    """The file as text, byte-order mark removed; line ends are kept, because offsets count them.

    A name that ends in .gz is decompressed.

    Raises `DataError` for a missing or empty file, for one that would expand without measure, and for bytes that are
    not UTF-8, with their line.
    """
    data = _read_bytes(path)
    if not data.strip():
        raise DataError("is empty: there is nothing to read", path=path)
    return decode_utf8(data, path)


def decode_utf8(data: bytes, path: str | Path, *, line: int = 1) -> str:
    """Bytes of a file, from this line on, as text without a byte-order mark; raises `DataError` with the line."""
    name = Path(path).name
    utf16 = _utf16(data) if line == 1 else None
    if utf16 is not None:
        raise DataError(
            f"is UTF-16 and not UTF-8; convert it first: iconv -f {utf16} -t UTF-8 {name} > utf8-{name}",
            path=path,
            line=line,
        )
    try:
        return data.decode("utf-8-sig" if line == 1 else "utf-8")
    except UnicodeDecodeError as error:
        raise DataError(
            f"is not UTF-8 (byte 0x{data[error.start]:02x}); convert it first, for Chinese text often with: "
            f"iconv -f GB18030 -t UTF-8 {name} > utf8-{name}",
            path=path,
            line=line + data.count(b"\n", 0, error.start),
        ) from None


def _utf16(data: bytes) -> str | None:
    """What iconv calls the encoding of bytes in UTF-16, by their mark or by the zeros of its ASCII; None for others."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "UTF-16"
    for name, zeros, others in (("UTF-16LE", data[1:8:2], data[:8:2]), ("UTF-16BE", data[:8:2], data[1:8:2])):
        if len(zeros) > 1 and not any(zeros) and all(others):
            return name
    return None


def open_bytes(path: Path) -> IO[bytes]:
    """A file to be read piece by piece; raises `DataError` where it cannot be opened."""
    try:
        return path.open("rb")
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror or error}", path=path) from None


def _read_bytes(path: Path) -> bytes:
    try:
        return _expanded(path) if path.suffix == ".gz" else path.read_bytes()
    except EOFError:
        raise DataError("cannot be read: the compressed file was cut short; copy it again", path=path) from None
    except zlib.error as error:
        raise DataError(f"cannot be read: the compressed file is damaged ({error}); copy it again", path=path) from None
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror or error}", path=path) from None


def _expanded(path: Path) -> bytes:
    limit = expansion_limit(path)
    with gzip.open(path) as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise DataError(
            f"expands to more than {limit:,} bytes, which is no text's ratio; decompress it first if it is meant",
            path=path,
        )
    return data


def parse_json(text: str) -> Any:
    """The value of a JSON text.

    Raises ValueError with the reason, also for a key that is given twice: of its values all but one would be lost.
    """
    value, end = parse_value(text, _skip(text, 0))
    end = _skip(text, end)
    if end < len(text):
        raise json.JSONDecodeError("Extra data", text, end)
    return value


def parse_value(text: str, start: int = 0) -> tuple[Any, int]:
    """The JSON value that begins at `start`, and where it ends; raises as `parse_json` does."""
    try:
        return _DECODER.raw_decode(text, start)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {twice!r} is given twice")
    return record


_DECODER = json.JSONDecoder(object_pairs_hook=_unique)


def reason(error: ValueError) -> str:
    """What is wrong with a JSON text, and in which column where that is known."""
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg.removesuffix(' at')} at column {error.colno}"
    return str(error)


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
        record = parse_json(text)
    except json.JSONDecodeError:
        yield from _lines(text, path)
    except ValueError as error:
        raise _no_record(error, text.lstrip(), path, text[: _skip(text, 0)].count("\n") + 1) from None
    else:
        yield 1, record


def _lines(text: str, path: Path) -> Iterator[tuple[int, Any]]:
    # Not str.splitlines: U+2028 and U+0085 may stand inside a JSON string.
    for line, content in enumerate(text.split("\n"), start=1):
        if not content.strip():
            continue
        try:
            yield line, parse_json(content)
        except ValueError as error:
            raise _no_record(error, content, path, line) from None


def _no_record(error: ValueError, content: str, path: Path, line: int) -> DataError:
    return DataError(
        f"is not a JSON record ({reason(error)}): {content[:60]!r}; "
        "mend or remove this line (a file cut short ends like this)",
        path=path,
        line=line,
    )


def _array(text: str, path: Path) -> Iterator[tuple[int, Any]]:
    position = _skip(text, text.index("[") + 1)
    line, counted = 1, 0
    while position < len(text) and text[position] != "]":
        line, counted = line + text.count("\n", counted, position), position
        try:
            record, end = parse_value(text, position)
        except ValueError as error:
            place = error.lineno if isinstance(error, json.JSONDecodeError) else line
            raise DataError(
                f"is not a JSON array ({reason(error)}); a file cut short ends like this", path=path, line=place
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
    if _skip(text, position + 1) < len(text):
        last = text.count("\n", 0, position) + 1
        raise DataError(
            "more follows behind the JSON array; write it as one array or one line each", path=path, line=last
        )


def _skip(text: str, position: int) -> int:
    while position < len(text) and text[position] in " \t\r\n":
        position += 1
    return position
