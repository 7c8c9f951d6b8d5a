"""A checkpoint of TensorFlow read without TensorFlow: `NAME.index` tells where in `NAME.data-...` each array lies.

The index is a sorted table of LevelDB's format, uncompressed: blocks of entries (shared prefix, rest of key, value),
a block that lists the blocks, and a footer that says where that one is. A value is a protocol buffer, BundleEntryProto:
dtype (1), shape (2), number of the data file (3), offset (4), size (5). The first key, the empty one, is the header.
Source: tensorflow/core/util/tensor_bundle and lib/io/format.cc.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kexue.errors import CheckpointError

FOOTER = 48
MAGIC = 0xDB4775248B80FB57
DTYPES = {1: np.dtype("<f4"), 2: np.dtype("<f8"), 3: np.dtype("<i4"), 9: np.dtype("<i8"), 19: np.dtype("<f2")}
"""Kinds of numbers by their number in TensorFlow; others are left out."""
LENGTH_DELIMITED, VARINT, FIXED64, FIXED32 = 2, 0, 1, 5


@dataclass(frozen=True)
class Entry:
    """Where an array lies."""

    dtype: int
    shape: tuple[int, ...]
    shard: int
    offset: int
    size: int


def read_tensorflow_checkpoint(index: Path) -> dict[str, np.ndarray]:
    """All arrays of numbers by name; `index` is the file that ends in .index.

    Raises `CheckpointError` where a file is damaged or missing.
    """
    try:
        entries = {key.decode(): _entry(value) for key, value in _table(index.read_bytes()) if key}
        shards = {entry.shard for entry in entries.values()}
        data = {shard: np.memmap(_shard(index, shard), mode="r") for shard in shards}
        return {name: _array(data[entry.shard], entry) for name, entry in entries.items() if entry.dtype in DTYPES}
    except (IndexError, ValueError, OSError) as error:
        raise CheckpointError(f"{index}: cannot be read as a TensorFlow checkpoint ({error})") from error


def _array(data: np.ndarray, entry: Entry) -> np.ndarray:
    part = data[entry.offset : entry.offset + entry.size].tobytes()
    return np.frombuffer(part, DTYPES[entry.dtype]).reshape(entry.shape).copy()


def _shard(index: Path, number: int) -> Path:
    found = sorted(index.parent.glob(f"{index.stem}.data-{number:05d}-of-*"))
    if not found:
        raise FileNotFoundError(f"there is no {index.stem}.data-{number:05d}-of-...")
    return found[0]


def _table(file: bytes) -> Iterator[tuple[bytes, bytes]]:
    """All keys and values of a table."""
    footer = file[-FOOTER:]
    if len(footer) < FOOTER or int.from_bytes(footer[-8:], "little") != MAGIC:
        raise ValueError("it does not end as a table does")
    _, place = _handle(footer, 0)
    blocks, _ = _handle(footer, place)
    for _, value in _block(file, *blocks):
        handle, _ = _handle(value, 0)
        yield from _block(file, *handle)


def _handle(data: bytes, place: int) -> tuple[tuple[int, int], int]:
    """Offset and size of a block, and where the handle ends."""
    offset, place = _varint(data, place)
    size, place = _varint(data, place)
    return (offset, size), place


def _block(file: bytes, offset: int, size: int) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of a block; at its end are the places where no prefix is shared, and their number."""
    if file[offset + size]:
        raise ValueError("a block is compressed")
    block = file[offset : offset + size]
    end = size - 4 - 4 * int.from_bytes(block[-4:], "little")
    key, place = b"", 0
    while place < end:
        shared, place = _varint(block, place)
        rest, place = _varint(block, place)
        length, place = _varint(block, place)
        key = key[:shared] + block[place : place + rest]
        place += rest
        yield key, block[place : place + length]
        place += length


def _entry(message: bytes) -> Entry:
    fields = dict(_fields(message))
    shape = fields.get(2, b"")
    sizes = [dict(_fields(value)).get(1, 0) for number, value in _fields(shape) if number == 2]
    return Entry(fields.get(1, 0), tuple(sizes), *(fields.get(number, 0) for number in (3, 4, 5)))


def _fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Number and value of each field of a protocol buffer."""
    place = 0
    while place < len(message):
        tag, place = _varint(message, place)
        kind = tag & 7
        if kind == VARINT:
            value, place = _varint(message, place)
            yield tag >> 3, value
        elif kind == LENGTH_DELIMITED:
            length, place = _varint(message, place)
            yield tag >> 3, message[place : place + length]
            place += length
        elif kind in (FIXED32, FIXED64):
            place += 4 if kind == FIXED32 else 8
        else:
            raise ValueError(f"a field is of the unknown kind {kind}")


def _varint(data: bytes, place: int) -> tuple[int, int]:
    """A number of seven bits a byte, the lowest first, and where it ends."""
    value = shift = 0
    while True:
        byte = data[place]
        value |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if byte < 0x80:
            return value, place
