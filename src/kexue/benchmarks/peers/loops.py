"""Decoding as every published GPLinker does it: dense scores on the processor, loops over spans.

For each accepted subject and each accepted object, look up the predicates whose start link and whose end link
are above 0. The cost grows with subjects x objects x predicates, in Python.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Triple = tuple[int, int, int, int, int]
"""(subject start, subject end, predicate, object start, object end)."""
Scores = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]
"""Spans [2, length, length], starts and ends [predicates, length, length], of one text."""


def accepted_spans(spans: NDArray[np.float32]) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Subjects and objects: the spans whose score is above 0."""
    subjects, objects = [], []
    for label, start, end in zip(*np.where(spans > 0), strict=True):
        (subjects, objects)[label].append((start, end))
    return subjects, objects


def decode_by_loops(scores: Scores, *, max_pairs: int | None = None) -> set[Triple]:
    """The triples of one text; stop after `max_pairs` pairs, to time a part of what would take hours."""
    spans, starts, ends = scores
    subjects, objects = accepted_spans(spans)
    triples: set[Triple] = set()
    left = len(subjects) * len(objects) if max_pairs is None else max_pairs
    for subject_start, subject_end in subjects:
        for object_start, object_end in objects:
            if left == 0:
                return triples
            left -= 1
            by_start = np.where(starts[:, subject_start, object_start] > 0)[0]
            by_end = np.where(ends[:, subject_end, object_end] > 0)[0]
            for predicate in set(by_start) & set(by_end):
                triples.add((subject_start, subject_end, predicate, object_start, object_end))
    return triples
