"""The slow, obvious twin of `kexue.extraction.decoding`: every quintuple is looked at."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from math import inf

from numpy.typing import NDArray
from torch import Tensor

Triple = tuple[tuple[int, int, int], int, tuple[int, int, int]]


def all_spans(scores: Tensor | NDArray, length: int, floor: float, width: float = inf) -> set[tuple[int, int, int]]:
    """(label, start, end) of each span of at most `width` tokens above the floor; `scores` [labels, seq, seq]."""
    return {
        (label, start, end)
        for label, start in product(range(scores.shape[0]), range(length))
        for end in range(start, length)
        if scores[label, start, end] > floor and end - start + 1 <= width
    }


def all_triples(
    spans: Tensor | NDArray,
    starts: Tensor | NDArray,
    ends: Tensor | NDArray,
    length: int,
    subjects: Tensor | NDArray,
    objects: Tensor | NDArray,
    floor: float,
    width: float = inf,
    distance: float = inf,
) -> set[Triple]:
    """Each triple whose four scores exceed the floor, whose ends have allowed labels, and that is near enough."""

    def search() -> Iterator[Triple]:
        found = all_spans(spans, length, floor, width)
        for subject, predicate, object_ in product(found, range(starts.shape[0]), found):
            if (
                abs(subject[1] - object_[1]) <= distance
                and subjects[predicate, subject[0]]
                and objects[predicate, object_[0]]
                and starts[predicate, subject[1], object_[1]] > floor
                and ends[predicate, subject[2], object_[2]] > floor
            ):
                yield subject, predicate, object_

    return set(search())


def pointer_spans(starts: Tensor, ends: Tensor, floor: float) -> dict[tuple[int, int], float]:
    """(start, end) and score of each span of half-pointer half-tags, by looking at every pair of tokens."""
    found = {}
    for start in range(len(starts)):
        for end in range(start, len(ends)):
            reasons = [float(starts[start]), float(ends[end]), *(-float(ends[k]) for k in range(start, end))]
            if min(reasons) > floor:
                found[start, end] = min(reasons)
    return found


def nearest_ends(starts: Tensor, ends: Tensor) -> set[tuple[int, int]]:
    """The published rule: every start with the first end at or after it."""
    pairs = set()
    for start in (place for place, score in enumerate(starts.tolist()) if score > 0):
        after = [place for place, score in enumerate(ends.tolist()) if score > 0 and place >= start]
        pairs |= {(start, after[0])} if after else set()
    return pairs
