"""Where words begin, in tokens: what is masked is whole words (Cui et al. 2019), of Chinese as of English.

    letters, digits and marks    a word is the longest run of them: "unbelievable", "1984"
    Chinese characters           a run of them is cut into words by a segmenter
    anything else                every character is a word

The words are those of the text, so that they are the same for every tokenizer.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Callable, Sequence
from functools import cache
from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray

from kexue.encoders.tokenization import Tokens
from kexue.errors import OptionError
from kexue.extraction.words import is_unspaced

HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af]+")
"""Runs of Chinese characters."""
WORD_LENGTHS = (0.33, 0.53, 0.10, 0.04)
"""Shares of Chinese words of 1 to 4 characters: jieba's on 341,976 characters of DuIE 2.0."""

Segmenter = Callable[[str], Sequence[int]]
"""A run of Chinese characters to the lengths of its words."""


class Jieba:
    """Words of jieba's dictionary and of its model of unknown ones, in Rust: 3 million characters a second."""

    def __init__(self) -> None:
        if find_spec("rjieba") is None:
            raise OptionError("the segmenter 'jieba' comes with an extra: pip install 'kexue[chinese]'")
        import rjieba

        self._cut = rjieba.cut

    def __call__(self, run: str) -> list[int]:
        return [len(word) for word in self._cut(run)]


class NGrams:
    """Random spans as long as words are, where there is no dictionary; the same in every pass over the same texts."""

    def __init__(self) -> None:
        self._generator = np.random.default_rng(0)

    def __call__(self, run: str) -> list[int]:
        drawn = self._generator.choice(len(WORD_LENGTHS), len(run), p=WORD_LENGTHS) + 1
        ends = np.minimum(np.cumsum(drawn), len(run))
        return np.diff(ends[: np.searchsorted(ends, len(run)) + 1], prepend=0).tolist()


SEGMENTERS: dict[str, type[Jieba] | type[NGrams]] = {"jieba": Jieba, "ngrams": NGrams}


def best_segmenter() -> str:
    """The name of the best one that is installed."""
    return "jieba" if find_spec("rjieba") is not None else "ngrams"


def word_begins(texts: Sequence[str], tokens: Sequence[Tokens], segment: Segmenter) -> list[NDArray[np.bool_]]:
    """For each text, which of its tokens begin a word; a token that begins inside a word does not."""
    joined = "\0".join(texts) + "\0"
    word = np.cumsum(_begins(joined, segment))
    bases = np.cumsum([0] + [len(text) + 1 for text in texts[:-1]])
    return [_first_of_each(word[np.asarray(own.starts, int) + base]) for own, base in zip(tokens, bases, strict=True)]


def _begins(text: str, segment: Segmenter) -> NDArray[np.bool_]:
    """Which characters begin a word."""
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    joins = _joining()[codes]
    begins = np.ones(len(codes), bool)
    begins[1:] = ~(joins[1:] & joins[:-1])
    for run in HAN.finditer(text):
        begins[run.start() : run.end()] = False
        begins[run.start() + np.cumsum([0, *segment(run.group())][:-1])] = True
    return begins


def _first_of_each(word: NDArray[np.int64]) -> NDArray[np.bool_]:
    return np.diff(word, prepend=-1) != 0


@cache
def _joining() -> NDArray[np.bool_]:
    """Whether a code point forms a word with its like: letters, digits and marks of scripts with spaces."""
    characters = map(chr, range(sys.maxunicode + 1))
    return np.array([unicodedata.category(it)[0] in "LNM" and not is_unspaced(it) for it in characters])
