"""Lengths of texts in characters and tokens, and the distance between the ends of relations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from kexue.extraction.doctor.case import Case
from kexue.extraction.doctor.finding import Distribution

_QUANTILES = {"min": 0.0, "median": 0.5, "90%": 0.9, "99%": 0.99, "max": 1.0}
_FEWEST_IN_FIRST_BIN = 8


def measure(cases: Sequence[Case]) -> Iterator[Distribution]:
    """The distributions for which there is anything to measure."""
    yield from _distribution("text length (characters)", [len(case.document.text) for case in cases])
    yield from _distribution("text length (tokens)", [len(case.tokens) for case in cases if case.tokens is not None])
    yield from _distribution("relation distance (characters)", list(_distances(cases)))


def _distances(cases: Sequence[Case]) -> Iterator[int]:
    """Characters between the two ends of each relation; 0 where they touch or overlap."""
    for case in cases:
        for relation in case.document.relations:
            gap = max(relation.subject.start, relation.object.start) - min(relation.subject.end, relation.object.end)
            yield max(0, gap)


def _distribution(name: str, values: Sequence[int]) -> Iterator[Distribution]:
    """Quantiles that are values themselves, and bins whose limits double."""
    if not values:
        return
    array = np.asarray(values)
    found = np.quantile(array, list(_QUANTILES.values()), method="inverted_cdf")
    limits = [_FEWEST_IN_FIRST_BIN]
    while limits[-1] < array.max():
        limits.append(2 * limits[-1])
    counts = np.bincount(np.searchsorted(limits, array), minlength=len(limits))
    yield Distribution(
        name,
        {key: int(value) for key, value in zip(_QUANTILES, found, strict=True)},
        tuple((limit, int(count)) for limit, count in zip(limits, counts, strict=True)),
    )
