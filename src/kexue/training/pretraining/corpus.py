"""A corpus as token ids on disk, tokenised once and memory-mapped: it may be far larger than memory.

    tokens.bin    the ids of all documents, one after the other; the highest bit says that a word begins
    ends.bin      where each document ends in it, int64
    counts.bin    how often each id occurs, int64
    corpus.json   sizes, a digest, and what the corpus was made from

A document ends with the special tokens that the tokenizer puts behind a text ([SEP]); one of many tokens is several.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from kexue.encoders.tokenization import BLOCK, TextTokenizer
from kexue.files import atomic_folder, write_json
from kexue.training.pretraining.words import Segmenter, word_begins

TOKENS, ENDS, COUNTS, FACTS = "tokens.bin", "ends.bin", "counts.bin", "corpus.json"
NARROW = 1 << 15
"""Vocabularies up to this size fit into 16 bits beside the bit for words."""
LONGEST = 1 << 14
"""Tokens after which a document goes on as another one, so that a book can be shuffled and held out in part."""


@dataclass(frozen=True, eq=False)
class Corpus:
    """Documents of tokens: `tokens[first(i):ends[i]]` is the i-th, with the bit for words in each."""

    tokens: NDArray[np.unsignedinteger]
    ends: NDArray[np.int64]
    counts: NDArray[np.int64]
    digest: str

    @classmethod
    def open(cls, folder: Path) -> Corpus:
        """Map a folder written by `write_corpus`."""
        facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
        tokens = np.memmap(folder / TOKENS, facts["dtype"], "r")
        ends = np.memmap(folder / ENDS, np.int64, "r")
        return cls(tokens, ends, np.fromfile(folder / COUNTS, np.int64), facts["digest"])

    def __len__(self) -> int:
        return len(self.ends)

    @property
    def begin_bit(self) -> int:
        """The bit of a token that says that a word begins."""
        return begin_bit(self.tokens.dtype)

    def firsts(self, documents: NDArray[np.int64]) -> NDArray[np.int64]:
        """Where these documents begin."""
        return np.where(documents > 0, self.ends[documents - 1], 0)

    def lengths(self, documents: NDArray[np.int64]) -> NDArray[np.int64]:
        """Tokens of these documents, the special ones at the end counted."""
        return self.ends[documents] - self.firsts(documents)


def begin_bit(dtype: np.dtype[Any]) -> int:
    """The highest bit of a type of tokens."""
    return 1 << (8 * dtype.itemsize - 1)


def corpus_made_from(folder: Path) -> dict[str, Any] | None:
    """What `write_corpus` was told the corpus is made from; None where there is none."""
    path = folder / FACTS
    return json.loads(path.read_text(encoding="utf-8"))["made_from"] if path.exists() else None


def discard_corpus(folder: Path) -> None:
    """Remove a corpus; one that is removed in part is none."""
    (folder / FACTS).unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)


def write_corpus(
    texts: Iterable[str], tokenizer: TextTokenizer, segment: Segmenter, folder: Path, made_from: dict[str, Any]
) -> None:
    """Tokenise texts into a folder, which is there when it is whole; one block of them is in memory at a time."""
    size = len(tokenizer.tokenizer)
    dtype = np.dtype(np.uint16 if size <= NARROW else np.uint32)
    counts, digest, end = np.zeros(size, np.int64), hashlib.sha256(), 0
    with atomic_folder(folder) as partial:
        with (partial / TOKENS).open("wb") as tokens, (partial / ENDS).open("wb") as ends:
            for block, own_ends in _encoded(texts, tokenizer, segment, dtype):
                counts += np.bincount(block & (begin_bit(dtype) - 1), minlength=size)
                _append(tokens, block, digest)
                _append(ends, own_ends + end, digest)
                end += len(block)
        counts.tofile(partial / COUNTS)
        facts = {"dtype": dtype.name, "digest": digest.hexdigest(), "made_from": made_from}
        write_json(partial / FACTS, facts)


def _encoded(
    texts: Iterable[str], tokenizer: TextTokenizer, segment: Segmenter, dtype: np.dtype[Any]
) -> Iterator[tuple[NDArray[Any], NDArray[np.int64]]]:
    """Blocks of documents: their tokens, and where each of them ends in the block."""
    bit = begin_bit(dtype)
    suffix = np.array(tokenizer.suffix, dtype) | dtype.type(bit)
    for block in _blocks(texts):
        encoded = tokenizer(block)
        begins = word_begins(block, encoded, segment)
        pieces: list[NDArray[Any]] = []
        for own, begin in zip(encoded, begins, strict=True):
            pieces += [np.array(own.ids, dtype) | begin.astype(dtype) * dtype.type(bit), suffix]
        yield np.concatenate(pieces), np.cumsum(_cut([len(own) + len(suffix) for own in encoded]))


def _cut(lengths: Iterable[int]) -> list[int]:
    """Lengths of documents, long ones in pieces."""
    pieces = []
    for length in lengths:
        pieces += [LONGEST] * ((length - 1) // LONGEST) + [(length - 1) % LONGEST + 1]
    return pieces


def _blocks(texts: Iterable[str]) -> Iterator[list[str]]:
    source = iter(texts)
    while block := list(islice(source, BLOCK)):
        yield block


def _append(file: IO[bytes], values: NDArray[Any], digest: Any) -> None:
    data = values.tobytes()
    digest.update(data)
    file.write(data)


def sample_texts(texts: Iterable[str], share: float) -> Sequence[str]:
    """A share of the texts, evenly spread."""
    return [text for number, text in enumerate(texts) if int((number + 1) * share) > int(number * share)]
