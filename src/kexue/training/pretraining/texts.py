"""Text of any size as a stream of documents, from plain text, JSON Lines, or annotated files.

    text     one document a line, or several lines each with blank lines between them
    jsonl    one JSON record a line, whose key `text` is the document
    ...      the text of any annotated format that `kexue convert` reads

Plain text and JSON Lines are read line by line (also from .gz), so a file may be larger than memory.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kexue.errors import DataError, OptionError, unknown
from kexue.extraction.formats import FORMATS, read_documents, recognise
from kexue.extraction.formats.records import field, of_kind
from kexue.extraction.formats.source import decode_utf8, open_bytes, parse_json, reason
from kexue.files import refuse_absent

SAMPLE = 1 << 20
"""Characters of plain text that are looked at for blank lines."""
LONGEST = 1 << 20
"""Characters after which a document is ended at the next line, so that none fills the memory."""


@dataclass(frozen=True)
class Texts:
    """The documents of files and folders, in their order; each pass reads them anew.

    Raises `DataError` with path and line while it is read, `OptionError` for an unknown format.
    """

    sources: Sequence[Path]
    format: str | None = None
    key: str = "text"

    def __post_init__(self) -> None:
        allowed = [*STREAMS, *(name for name, format in FORMATS.items() if format.read is not None)]
        if self.format is not None and self.format not in allowed:
            raise OptionError(unknown("format", self.format, allowed))

    def __iter__(self) -> Iterator[str]:
        for path in self.files():
            yield from (text for text in self._read(path) if text.strip())

    def files(self) -> list[Path]:
        """The files that are read; a folder stands for all files in it, one of brat for itself.

        Raises `DataError` for one that is absent or cannot be read.
        """
        return [file for path in self.sources for file in _files(Path(path))]

    def _read(self, path: Path) -> Iterator[str]:
        format = self.format or _format_of(path, self.key)
        if format in STREAMS:
            return STREAMS[format](path, self.key)
        return (document.text for document in read_documents(path, format).documents)


def _files(path: Path) -> list[Path]:
    refuse_absent([path])
    if not path.is_dir() or recognise(path) is not None:
        return [path]
    files = sorted(file for file in path.rglob("*") if file.is_file() and not file.name.startswith("."))
    if not files:
        raise DataError("is a folder without files", path=path)
    return files


def _format_of(path: Path, key: str) -> str:
    """What a file is: records with the key, an annotated format, or else plain text."""
    record = None if path.is_dir() else _first_record(path)
    if record is not None and isinstance(record.get(key), str):
        return "jsonl"
    known = recognise(path)
    if known is not None:
        return known
    return "text" if record is None else "jsonl"  # which says that the key is missing


def _first_record(path: Path) -> dict[str, Any] | None:
    """The JSON object in the first line that is not blank, if it is one."""
    try:
        return next((_object(line) for _, line in _lines(path) if line.strip()), None)
    except DataError:
        return None  # perhaps a format that is no text; plain text says the same again


def _plain(path: Path, key: str) -> Iterator[str]:
    """Lines, or where there are blank lines in the first `SAMPLE` characters, what stands between them."""
    if not _has_blank_lines(path):
        yield from (line for _, line in _lines(path))
        return
    held: list[str] = []
    size = 0
    for _, line in _lines(path):
        if held and (not line.strip() or size > LONGEST):
            yield "\n".join(held)
            held, size = [], 0
        if line.strip():
            held.append(line)
            size += len(line)
    yield "\n".join(held)


def _records(path: Path, key: str) -> Iterator[str]:
    """The texts of JSON Lines."""
    for number, line in _lines(path):
        if not line.strip():
            continue
        try:
            record = parse_json(line)
        except ValueError as error:
            raise DataError(
                f"is not a JSON record ({reason(error)}): {line[:60]!r}; mend or remove this line, "
                "or name the format of the file with --format",
                path=path,
                line=number,
            ) from None
        try:
            yield field(of_kind(record, dict, "a record"), key, str)
        except DataError as error:
            hint = "; name the one that holds the text with --set key=NAME"
            raise DataError(f"{error}{hint}", path=path, line=number) from None


STREAMS: dict[str, Callable[[Path, str], Iterator[str]]] = {"text": _plain, "jsonl": _records}


def _has_blank_lines(path: Path) -> bool:
    """Whether there are blank lines between others in the beginning of a file."""
    size, ended = 0, False
    for _, line in _lines(path):
        size += len(line)
        if line.strip() and ended:
            return True
        ended = ended or (size > 0 and not line.strip())
        if size > SAMPLE:
            break
    return False


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """(number, line) without its line end; raises `DataError` at the first line that is not UTF-8."""
    try:
        with open_bytes(path) as file:
            lines: Iterable[bytes] = gzip.GzipFile(fileobj=file) if path.suffix == ".gz" else file
            for number, line in enumerate(lines, start=1):
                yield number, decode_utf8(line, path, line=number).rstrip("\r\n")
    except (EOFError, zlib.error):
        raise DataError("the compressed file is damaged or was cut short; copy it again", path=path) from None
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror or error}", path=path) from None


def _object(line: str) -> dict[str, Any] | None:
    try:
        value = parse_json(line)
    except json.JSONDecodeError:
        return None
    except ValueError:  # JSON that cannot be taken: an object is still no plain text, and its reader says why
        return {} if line.lstrip().startswith("{") else None
    return value if isinstance(value, dict) else None
