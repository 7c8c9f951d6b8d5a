"""Input files cut into pieces of so many lines or rows, each of which one worker reads and makes into one shard.

A piece of a file of lines is a range of bytes that begins and ends with a line, so a worker goes to its place without
reading what stands before it. Pieces are cut from the beginning of a file: the same file gives the same pieces.
"""

from __future__ import annotations

import glob
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from kexue.errors import DataError, OptionError
from kexue.pipelines.bulk import JSON_SUFFIXES, TEXT_SUFFIXES, by_suffix, decode_line, looks_like_json

PARQUET_SUFFIXES = (".parquet", ".pq")
SUFFIXES = (*JSON_SUFFIXES, *TEXT_SUFFIXES, *PARQUET_SUFFIXES)
COMPRESSED = (".gz", ".bz2", ".xz", ".zst", ".zip")
SHARD_SIZE = 8192  # lines of a piece: four times what is sorted by length together
BLOCK = 2**20  # bytes that are looked through for line ends at a time


@dataclass(frozen=True)
class Piece:
    """Lines or rows `first` (from 1) to `first + count - 1` of a file, which become the shard `index`.

    `form` is "json" or "text" for lines, which are the bytes `start` to `end` of the file, and "parquet" for rows.
    """

    index: int
    file: str
    form: str
    first: int
    count: int
    start: int = 0
    end: int = 0

    @property
    def last(self) -> int:
        """Number of its last line or row."""
        return self.first + self.count - 1


@dataclass(frozen=True)
class Inputs:
    """Files below a folder, by their names from there; `others` are files of the folder that are no input."""

    root: Path
    files: tuple[str, ...]
    others: tuple[str, ...] = ()


def is_bulk(given: Path) -> bool:
    """Whether what a user names is more than a file of lines: a folder, a pattern, or Parquet."""
    pattern = glob.has_magic(str(given)) and not given.exists()
    return given.is_dir() or pattern or given.suffix.lower() in PARQUET_SUFFIXES


def find_inputs(given: Path) -> Inputs:
    """The files that a user names by a file, a folder (with all below it) or a pattern, in alphabetical order.

    In a folder names that begin with a dot or an underscore are passed over, as other tools for such folders do.
    Raises `DataError` if there is no file, or one that is compressed as a whole, which cannot be cut.
    """
    if given.is_file():
        root, paths = given.parent, [given]
    elif given.is_dir():
        root, paths = given, [path for path in given.rglob("*") if path.is_file() and not _hidden(path, given)]
    elif glob.has_magic(str(given)):
        root = _above_pattern(given)
        paths = [path for path in root.glob(str(given.relative_to(root))) if path.is_file()]
    else:
        raise DataError("there is no such file, folder or pattern", path=given)
    names = sorted(path.relative_to(root).as_posix() for path in paths)
    for name in names:
        if PurePath(name).suffix.lower() in COMPRESSED:
            raise DataError("is compressed as a whole, so workers cannot share it: unpack it first", path=root / name)
    chosen = [name for name in names if not given.is_dir() or PurePath(name).suffix.lower() in SUFFIXES]
    if not chosen:
        raise DataError(f"holds no file of text ({', '.join(SUFFIXES)})", path=given)
    return Inputs(root.resolve(), tuple(chosen), tuple(sorted({*names} - {*chosen})))


def _hidden(path: Path, root: Path) -> bool:
    return any(part.startswith((".", "_")) for part in path.relative_to(root).parts)


def _above_pattern(given: Path) -> Path:
    """The folder above the first part of a pattern that is one."""
    plain = Path(given.anchor)
    for part in given.parts[bool(given.anchor) :]:
        if glob.has_magic(part):
            break
        plain /= part
    return plain


def form_of(path: Path) -> str:
    """What a file holds: "json" or "text" lines, or "parquet" rows; raises `DataError` if it cannot be read."""
    if path.suffix.lower() in PARQUET_SUFFIXES:
        return "parquet"
    json_lines = by_suffix(path.name)
    if json_lines is None:
        with path.open("rb") as file:
            lines = (decode_line(raw, str(path), number) for number, raw in enumerate(file, start=1))
            json_lines = looks_like_json(next(filter(None, lines), ""))
    return "json" if json_lines else "text"


def cut(path: Path, form: str, size: int) -> Iterator[tuple[int, int, int, int]]:
    """(first, count, start, end) of each piece of a file; raises `DataError` if it cannot be read."""
    if form == "parquet":
        rows = open_parquet(path).metadata.num_rows
        yield from ((first, min(size, rows - first + 1), 0, 0) for first in range(1, rows + 1, size))
        return
    borders, lines = _borders(path, size)
    for number, (start, end) in enumerate(pairwise(borders)):
        first = number * size + 1
        yield first, min(size, lines - first + 1), start, end


def _borders(path: Path, size: int) -> tuple[list[int], int]:
    """Where every `size`-th line of a file begins, and where the file ends, in bytes; and how many lines it has."""
    borders, lines, position, closed = [0], 0, 0, True
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            ends = np.flatnonzero(np.frombuffer(block, np.uint8) == ord("\n")) + position + 1
            borders += ends[size - 1 - lines % size :: size].tolist()
            lines, position, closed = lines + len(ends), position + len(block), block.endswith(b"\n")
    if borders[-1] != position:
        borders.append(position)
    return borders, lines + (not closed)


def open_parquet(path: Path) -> Any:
    """A Parquet file with a column "text"; raises `OptionError` without pyarrow, `DataError` for any other file."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise OptionError("Parquet needs pyarrow: pip install 'kexue[parquet]'") from None
    try:
        file = parquet.ParquetFile(path, memory_map=False, pre_buffer=False)
    except (OSError, pyarrow.ArrowException) as error:
        raise DataError(f"cannot be read as Parquet: {error}", path=path) from None
    names = file.schema_arrow.names
    if "text" not in names:
        raise DataError(f'has no column "text", only {", ".join(names) or "none"}', path=path)
    return file
