"""Classes as the quadrature meets them: each a point of its own, or all of them through Chebyshev points.

Both know the points and how many classes each stands for, carry log p from the points to the classes, and a
cotangent from the classes to the points with the gradient back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from kexue.distributions.algorithm import normalised
from kexue.distributions.chebyshev import Basis, Chebyshev
from kexue.distributions.locations import Locations

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
        return normalised(self.locations.masked(at_points, -torch.inf))

    def gradient(self, cotangent: Tensor, moments: Moments) -> Tensor:
        """[rows, n]."""
        cotangent = self.locations.masked(cotangent, 0.0)
        expected, reflected = moments(cotangent)
        return self.locations.masked(cotangent * expected - reflected, 0.0)


@dataclass(frozen=True)
class Interpolated:
    """The points are those of `grid`; block by block, so that a large batch needs little memory."""

    locations: Locations
    grid: Chebyshev

    def points(self) -> Tensor:
        """[rows, M]."""
        return self.grid.points.to(self.locations.mu)

    def weights(self) -> Tensor:
        """How many classes each point stands for; some are negative."""
        return self._spread(self.locations.counts)

    def log_probs(self, at_points: Tensor) -> Tensor:
        """[rows, n], summing to 1."""
        log_probs = torch.empty_like(self.locations.mu)
        for rows in self.locations.blocks():
            slope, bend, rest = self._parabola(at_points[rows].double(), rows)
            (own,) = self.grid.rows(rows).interpolate(self._bases(rows), rest)
            mu = self.locations.relative(rows)
            own.addcmul_(mu, mu * bend.to(mu) + slope.to(mu))
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
        spread = [self.grid.rows(rows).spread(self._bases(rows), values(rows)) for rows in blocks]
        return torch.cat(spread).to(self.locations.mu)

    def _bases(self, rows: slice) -> Iterable[Basis]:
        """Computed once where all locations are one block."""
        if rows.start == 0 and rows.stop >= self.locations.mu.shape[0]:
            return self._bases_of_all
        return self.grid.rows(rows).bases(self.locations.relative(rows))

    @cached_property
    def _bases_of_all(self) -> list[Basis]:
        return list(self.grid.bases(self.locations.relative()))

    def _parabola(self, values: Tensor, rows: slice) -> tuple[Tensor, Tensor, Tensor]:
        """Slope and bend of a parabola through the largest location, and what is left of the values without it.

        Left in, its size would multiply the rounding of float32 at the classes that matter most.
        """
        points = self.grid.rows(rows).points
        squares = points.square()
        cc, cs, ss = (_dot(a, b) for a, b in ((points, points), (points, squares), (squares, squares)))
        cv, sv = _dot(points, values), _dot(squares, values)
        determinant = cc * ss - cs.square()
        slope, bend = (cv * ss - sv * cs) / determinant, (sv * cc - cv * cs) / determinant
        return slope, bend, values - slope * points - bend * squares


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum(-1, keepdim=True)
