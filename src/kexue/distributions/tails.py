"""How far a law reaches: where its tails have fallen to a given depth.

reach(D)    the gap d at which log P(a class d below the largest wins) is about -D:
            log S(c + d/2) + log F(c - d/2) = -D, c the median: the cheapest way to close a gap is half by each side
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Tensor

from kexue.distributions.noise import Noise

LARGEST = 350.0
"""asinh of the largest distance that is looked at."""


def lower_end(noise: Noise, depth: float) -> float:
    """z with log F(z) = -depth, or a little below."""
    return _lower_end(noise, math.ceil(depth))


def upper_end(noise: Noise, depth: float) -> float:
    """z with log S(z) = -depth, or a little above."""
    return _upper_end(noise, math.ceil(depth))


def reach(noise: Noise, depth: float) -> float:
    """The gap at which a class is so improbable; infinite where power tails are not thin enough at any."""
    return _reach(noise, math.ceil(depth))


def log_two_sided(noise: Noise, gap: Tensor) -> Tensor:
    """log S(c + gap/2) + log F(c - gap/2): minus the depth of a class so far below the largest."""
    centre = _median(noise)
    return noise.log_survival_standard(centre + gap / 2) + noise.log_cdf_standard(centre - gap / 2)


@lru_cache(maxsize=64)
def _median(noise: Noise) -> float:
    return _crossing(lambda z: noise.log_cdf_standard(z) > -math.log(2))[0]


@lru_cache(maxsize=1024)
def _lower_end(noise: Noise, depth: int) -> float:
    return max(noise.lower, _crossing(lambda z: noise.log_cdf_standard(z) > -depth)[0])


@lru_cache(maxsize=1024)
def _upper_end(noise: Noise, depth: int) -> float:
    return min(noise.upper, _crossing(lambda z: noise.log_survival_standard(z) < -depth)[1])


@lru_cache(maxsize=1024)
def _reach(noise: Noise, depth: int) -> float:
    gap = _crossing(lambda d: log_two_sided(noise, d.clamp(min=0.0)) < -depth)[1]
    return gap if gap < math.sinh(LARGEST) else math.inf


def _crossing(above: Callable[[Tensor], Tensor]) -> tuple[float, float]:
    """The two sides of the point at which a condition becomes true, by 64-fold division in asinh(z)."""
    low, high = -LARGEST, LARGEST
    for _ in range(8):
        grid = torch.linspace(low, high, 65, dtype=torch.float64)
        first = int(above(torch.sinh(grid[1:-1])).long().cumsum(0).eq(0).sum())
        low, high = float(grid[first]), float(grid[first + 1])
    return math.sinh(low), math.sinh(high)
