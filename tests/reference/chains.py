"""Linear chains by enumeration: every path of tags is looked at."""

from __future__ import annotations

from itertools import pairwise, product
from math import inf

import torch
from torch import Tensor


def all_paths(emissions: Tensor, transitions: Tensor) -> dict[tuple[int, ...], float]:
    """The score of every path through emissions [seq, tags]."""
    seq, tags = emissions.shape
    return {
        path: float(
            sum(emissions[place, tag] for place, tag in enumerate(path))
            + sum(transitions[one, other] for one, other in pairwise(path))
        )
        for path in product(range(tags), repeat=seq)
    }


def log_sum(paths: dict[tuple[int, ...], float]) -> float:
    return float(torch.tensor(list(paths.values()), dtype=torch.double).logsumexp(0))


def spans_of(path: tuple[int, ...]) -> set[tuple[int, int, int]]:
    """(label, start, end) of each B with the I of its label that follow."""
    found = set()
    for start, tag in enumerate(path):
        if tag % 2 == 1:
            end = start
            while end + 1 < len(path) and path[end + 1] == tag + 1:
                end += 1
            found.add((tag // 2, start, end))
    return found


def span_scores(paths: dict[tuple[int, ...], float]) -> dict[tuple[int, int, int], float]:
    """Half the lead of the best path with each span over the best path without it."""
    by_path = {path: (spans_of(path), score) for path, score in paths.items()}
    spans = set().union(*(own for own, _ in by_path.values()))
    return {
        span: (
            max((score for own, score in by_path.values() if span in own), default=-inf)
            - max((score for own, score in by_path.values() if span not in own), default=-inf)
        )
        / 2
        for span in spans
    }
