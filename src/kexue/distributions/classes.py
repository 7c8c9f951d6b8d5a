"""Classes as the quadrature meets them: each a point of its own, or all of them through Chebyshev points.

Both know the points and how many classes each stands for, carry log p from the points to the classes, and a
cotangent from the classes to the points with the gradient back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache

import torch
from torch import Tensor

from kexue.distributions.algorithm import normalised
from kexue.distributions.chebyshev import Basis, Chebyshev, chebyshev_nodes
from kexue.distributions.locations import Locations

DEGREE = 2
"""Of the trend of log p with the depth of a class."""
Moments = Callable[[Tensor], tuple[Tensor, Tensor]]
"""A cotangent at the points to the two factors of the gradient there; see `CommonMaximum.moments`."""


@dataclass(frozen=True)
class Direct:
    """The points are the classes."""

    locations: Locations

    def points(self) -> Tensor:
        """[rows, n]."""
        return self.locations.relative()

    def weights(self) -> Tensor:
        """1, or 0 where absent."""
        return self.locations.counts()

    def log_probs(self, at_points: Tensor) -> Tensor:
        """[rows, n], summing to 1."""
        return normalised(self.locations.masked(at_points, -torch.inf)).to(self.locations.mu)

    def gradient(self, cotangent: Tensor, moments: Moments) -> Tensor:
        """[rows, n]."""
        cotangent = self.locations.masked(cotangent, 0.0).to(self.locations.low)
        expected, reflected = moments(cotangent)
        return self.locations.masked(cotangent * expected - reflected, 0.0).to(self.locations.mu)


@dataclass(frozen=True)
class Interpolated:
    """The points are those of `grid`; block by block, so that a large batch needs little memory."""

    locations: Locations
    grid: Chebyshev

    def points(self) -> Tensor:
        """[rows, M]."""
        return self.grid.points.to(self.locations.low)

    def weights(self) -> Tensor:
        """How many classes each point stands for; some are negative."""
        return self._spread(self.locations.counts)

    def log_probs(self, at_points: Tensor) -> Tensor:
        """[rows, n], summing to 1."""
        log_probs = torch.empty_like(self.locations.mu)
        for rows in self.locations.blocks():
            trend, rest = _split(at_points[rows].double())
            (own,) = self.grid.rows(rows).interpolate(self._bases(rows), rest)
            own += _trend(self.locations.relative(rows) / self.grid.low[rows].to(own), trend.to(own))
            log_probs[rows] = normalised(self.locations.masked(own, -torch.inf, rows))
        return log_probs

    def gradient(self, cotangent: Tensor, moments: Moments) -> Tensor:
        """[rows, n]."""
        cotangent = self.locations.masked(cotangent, 0.0)
        at_points = moments(self._spread(lambda rows: cotangent[rows]))
        gradient = torch.empty_like(cotangent)
        for rows in self.locations.blocks():
            expected, reflected = self.grid.rows(rows).interpolate(self._bases(rows), *(own[rows] for own in at_points))
            gradient[rows] = self.locations.masked(expected.mul_(cotangent[rows]).sub_(reflected), 0.0, rows)
        return gradient

    def _spread(self, values: Callable[[slice], Tensor]) -> Tensor:
        blocks = self.locations.blocks()
        spread = [
            self.grid.rows(rows).spread(self._bases(rows), values(rows).to(self.locations.low)) for rows in blocks
        ]
        return torch.cat(spread).to(self.locations.low)

    def _bases(self, rows: slice) -> Iterable[Basis]:
        """Computed once where all locations are one block."""
        if rows.start == 0 and rows.stop >= self.locations.mu.shape[0]:
            return self._bases_of_all
        return self.grid.rows(rows).bases(self.locations.relative(rows))

    @cached_property
    def _bases_of_all(self) -> list[Basis]:
        return list(self.grid.bases(self.locations.relative()))


def _split(values: Tensor) -> tuple[Tensor, Tensor]:
    """Values at the points, [rows, M], as a polynomial without constant in the depth, and what is left.

    Left in, log p of the deepest classes would multiply the rounding of float32 at the classes that matter most;
    a polynomial in the depth is as exact at each class as it is small there.
    """
    powers, project = _depths(values.shape[1], values.device)
    trend = values @ project
    return trend, values - trend @ powers


def _trend(depth: Tensor, coefficients: Tensor) -> Tensor:
    """sum_k coefficients_k depth^(k + 1), by Horner's rule."""
    total = coefficients[:, -1:] * depth
    for k in range(coefficients.shape[1] - 2, -1, -1):
        total.add_(coefficients[:, k : k + 1]).mul_(depth)
    return total


@lru_cache(maxsize=64)
def _depths(num_points: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Powers of the depth, 0 at the largest location and 1 at the least, at the points; and the fit to them."""
    depth = (1 - chebyshev_nodes(num_points, torch.device("cpu"))) / 2
    powers = torch.stack([depth**k for k in range(1, DEGREE + 1)])
    return powers.to(device), torch.linalg.pinv(powers).to(device)
