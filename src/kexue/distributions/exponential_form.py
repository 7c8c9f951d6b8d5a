"""Exponential noise: the integral of a polynomial, by Gauss-Legendre.

    p_i = w_i int_0^1 prod_{j != i} (1 - w_j u) du,     w_j = exp(mu_j - max mu),  u = exp(-(M - max mu))

A polynomial of degree n - 1, so n/2 nodes are exact; but exp(-S u), S = sum_j w_j, bounds the product, so a
fixed number of nodes up to u = L/S is exact to exp(-L) for any n. log p_i = mu_i + log I(w_i) with a slowly
varying I, right at any depth. Many classes go through Chebyshev points in w, on the part where w u <= 1/2; the
at most 2L classes beyond are points of their own.
Source: METHODS.md section 4.2; the permute-and-flip mechanism (McKenna and Sheldon, 2020) has these probabilities.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from kexue.distributions.accuracy import Accuracy
from kexue.distributions.algorithm import Algorithm, State, normalised
from kexue.distributions.chebyshev import Basis, Chebyshev, enough_points
from kexue.distributions.common_maximum import CommonMaximum, differentiable_log_probs
from kexue.distributions.locations import Locations, pack
from kexue.distributions.pieces import gauss_legendre

NODES_PER_NAT = 0.75
"""Of the accuracy, for any number of classes."""
FEWEST_NODES = 8
"""To which those are added."""


@dataclass(frozen=True)
class ExponentialForm(Algorithm):
    """For noise whose cdf is 1 - exp(-z) from 0 on."""

    def log_probs(self, mu: Tensor, accuracy: Accuracy) -> tuple[Tensor, State]:
        """Through points where there are many classes; a class beyond their interval is a point of its own."""
        classes = Weighted.of(mu, accuracy)
        points, weights = classes.points(), classes.weights()
        nodes, log_weights = _nodes(classes.last, mu.shape[1], accuracy)
        at_points, level = CommonMaximum(self.noise, points, weights, nodes, log_weights).log_probs()
        log_probs = torch.empty_like(mu)
        for rows in classes.locations.blocks():
            (slow,) = classes.interpolate(rows, at_points - points)
            own = slow.add_(classes.locations.relative(rows))
            log_probs[rows] = normalised(classes.locations.masked(own, -torch.inf, rows))
        return log_probs, (classes.last, points, weights, nodes, level, at_points)

    def gradient(self, mu: Tensor, log_probs: Tensor, state: State, cotangent: Tensor, accuracy: Accuracy) -> Tensor:
        """The cotangent the same way there and back."""
        last, points, weights, nodes, level, at_points = state
        classes = Weighted.of(mu, accuracy, last)
        cotangent = classes.locations.masked(cotangent, 0.0)
        rule = CommonMaximum(self.noise, points, weights, nodes, level)
        moments = rule.moments(at_points, classes.spread(lambda rows: cotangent[rows]))
        gradient = torch.empty_like(mu)
        for rows in classes.locations.blocks():
            expected, reflected = classes.interpolate(rows, *moments)
            gradient[rows] = classes.locations.masked(expected.mul_(cotangent[rows]).sub_(reflected), 0.0, rows)
        return gradient

    def potential(self, mu: Tensor, accuracy: Accuracy) -> Tensor:
        """max mu + int (1 - exp G)/u du, a polynomial again up to the last node, and 1/u beyond."""
        classes = Weighted.of(mu, accuracy)
        nodes, log_weights = _nodes(classes.last, mu.shape[1], accuracy)
        weights = classes.weights()
        log_cdf = CommonMaximum(self.noise, classes.points(), weights, nodes, log_weights).log_cdf()
        below = (log_weights.exp() * torch.expm1(log_cdf)).sum(-1)
        return classes.locations.top[:, 0] - classes.last.log()[:, 0] - below

    def twin(self, mu: Tensor, accuracy: Accuracy) -> Tensor:
        """The integral at the same nodes, class by class; the nodes move with the largest location."""
        with torch.no_grad():
            classes = Weighted.of(mu, accuracy)
            locations, last = classes.locations, classes.last
            counts = locations.counts().double()
        relative = torch.where(counts == 0, locations.low, mu - mu.amax(-1, keepdim=True)).double()
        nodes, log_weights = _nodes(last, mu.shape[1], accuracy)
        log_probs = differentiable_log_probs(self.noise, relative, counts, nodes, log_weights)
        return locations.masked(log_probs.to(mu.dtype), -torch.inf)


@dataclass(frozen=True)
class Weighted:
    """Classes by their w = exp(mu - max mu), and u up to `last`, [rows, 1] in float64.

    `grid` has its points in w, and classes beyond its interval are points of their own: indices `single`,
    [rows, k], of which `meant` are meant. Without a grid all classes are.
    """

    locations: Locations
    last: Tensor
    grid: Chebyshev | None
    single: Tensor
    meant: Tensor

    @classmethod
    def of(cls, mu: Tensor, accuracy: Accuracy, last: Tensor | None = None) -> Weighted:
        """With as many points as the tolerance asks for, if the classes are many more."""
        locations = Locations.of(mu, torch.inf)
        last = _last_node(locations, accuracy) if last is None else last
        high = (0.5 / last).clamp(max=1)
        rate = math.acosh(float((2 / (last * high)).amin()) - 1)
        num_points = enough_points(math.ceil(accuracy.nats / rate) + 1)
        if mu.shape[1] <= 4 * num_points:
            index = torch.arange(mu.shape[1], device=mu.device).expand_as(mu)
            return cls(locations, last, None, index, locations.counts().bool())
        beyond = mu > locations.top + high.log().to(mu) if float(high.amin()) < 1 else mu[:, :0] > 0
        return cls(locations, last, Chebyshev(torch.zeros_like(last), high, num_points), *pack(beyond))

    def points(self) -> Tensor:
        """In mu, [rows, M] in float64: those of the grid, then single classes."""
        relative = self.locations.mu - self.locations.top
        single = relative.gather(-1, self.single).masked_fill(~self.meant, 0.0).double()
        return single if self.grid is None else torch.cat([self.grid.points.log(), single], -1)

    def weights(self) -> Tensor:
        """How many classes each point stands for, [rows, M] in float64.

        What is summed with them, log(1 - w u) and its like, vanishes with w. So it is w times it over w that goes
        through the points: very many classes of w near 0 would have large weights of either sign otherwise.
        """
        if self.grid is None:
            return self.locations.counts().double()
        moments = self.spread(lambda rows: self.locations.masked(self._w(rows), 0.0, rows))
        on_grid = moments[:, : self.grid.num_points] / self.grid.points
        return torch.cat([on_grid, self.meant.double()], -1)

    def spread(self, values: Callable[[slice], Tensor]) -> Tensor:
        """Values of the classes as weights of the points, [rows, M] in float64."""
        return torch.cat([self._spread(rows, values(rows)) for rows in self.locations.blocks()])

    def interpolate(self, rows: slice, *at_points: Tensor) -> list[Tensor]:
        """Values at the points, [rows, M], to those at the classes."""
        if self.grid is None:
            return [self._with_single(rows, torch.empty_like(self.locations.mu[rows]), own) for own in at_points]
        on_grid = (own[rows, : self.grid.num_points] for own in at_points)
        at_classes = self.grid.rows(rows).interpolate(self._bases(rows), *on_grid)
        return [self._with_single(rows, *own) for own in zip(at_classes, at_points, strict=True)]

    def _spread(self, rows: slice, values: Tensor) -> Tensor:
        index = self.single[rows]
        single = torch.where(self.meant[rows], values.gather(-1, index), 0.0)
        if self.grid is None:
            return single.double()
        rest = values.scatter_add(-1, index, -single) if index.shape[1] else values
        return torch.cat([self.grid.rows(rows).spread(self._bases(rows), rest), single.double()], -1)

    def _with_single(self, rows: slice, values: Tensor, at_points: Tensor) -> Tensor:
        """With the classes that are points of their own set to the value there."""
        index = self.single[rows]
        if not index.shape[1]:
            return values
        single = at_points[rows, -index.shape[1] :].to(values)
        return values.scatter(-1, index, torch.where(self.meant[rows], single, values.gather(-1, index)))

    def _bases(self, rows: slice) -> Iterable[Basis]:
        """Computed once where all locations are one block."""
        assert self.grid is not None
        if rows.start == 0 and rows.stop >= self.locations.mu.shape[0]:
            return self._bases_of_all
        return self.grid.rows(rows).bases(self._w(rows))

    def _w(self, rows: slice) -> Tensor:
        """Between 0 and 1, [rows, n]; computed once where all locations are one block."""
        return self._w_of_all if rows.stop >= self.locations.mu.shape[0] and not rows.start else self._w_of(rows)

    def _w_of(self, rows: slice) -> Tensor:
        return self.locations.relative(rows).exp_()

    @cached_property
    def _w_of_all(self) -> Tensor:
        return self._w_of(slice(None))

    @cached_property
    def _bases_of_all(self) -> list[Basis]:
        assert self.grid is not None
        return list(self.grid.bases(self._w_of_all))


def _last_node(locations: Locations, accuracy: Accuracy) -> Tensor:
    """Where u ends, [rows, 1] in float64."""
    sums = [
        locations.masked(locations.relative(rows).exp_(), 0.0, rows).sum(-1, keepdim=True)
        for rows in locations.blocks()
    ]
    return ((accuracy.nats + 2) / torch.cat(sums).double()).clamp(max=1)


def _nodes(last: Tensor, num_classes: int, accuracy: Accuracy) -> tuple[Tensor, Tensor]:
    """x = -log u and the logarithms of the weights du/u, [rows, K]."""
    enough = math.ceil(NODES_PER_NAT * accuracy.nats) + FEWEST_NODES
    gauss, log_gauss = gauss_legendre(min((num_classes + 1) // 2, enough), last.device)
    return -(last.log() + gauss.log()), (log_gauss - gauss.log()).expand(last.shape[0], -1)
