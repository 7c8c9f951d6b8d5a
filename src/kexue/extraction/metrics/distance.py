"""How far apart the ends of a relation stand, in words.

A word is a run of characters without space, or one Chinese character, kana or Hangul syllable, so that the
buckets mean about the same in Chinese and in English. The distance is the number of words that begin between
the two spans; touching, nested and overlapping spans have distance 0.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence

from kexue.extraction.metrics.matching import Key, Unplaced

_EAST_ASIAN = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"
_WORD = re.compile(rf"[{_EAST_ASIAN}]|[^\s{_EAST_ASIAN}]+")

_LOWER_BOUNDS = (0, 5, 10, 20, 40)
DISTANCES = ("0-4", "5-9", "10-19", "20-39", "40+", "not placed")


def word_starts(text: str) -> list[int]:
    """Where the words of a text begin."""
    return [match.start() for match in _WORD.finditer(text)]


def distance(starts: Sequence[int], one: tuple[int, int], other: tuple[int, int]) -> int:
    """Words that begin after the end of the first of two (start, end) spans and before the other's start."""
    first, second = sorted((one, other))
    return max(0, bisect_left(starts, second[0]) - bisect_left(starts, first[1]))


def distance_bucket(key: Key, starts: Sequence[int]) -> str:
    """The bucket in `DISTANCES` of a relation, given its strict key and where the words of its text begin."""
    if isinstance(key[1], Unplaced):
        return "not placed"
    _, (_, subject), (_, object) = key
    words = distance(starts, (subject[0][0], subject[-1][1]), (object[0][0], object[-1][1]))
    return DISTANCES[sum(words >= bound for bound in _LOWER_BOUNDS) - 1]
