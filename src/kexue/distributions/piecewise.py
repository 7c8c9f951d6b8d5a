"""Any law with kinks: Gauss-Legendre between the kinks, over the classes that can be the largest.

Under noise that is bounded above, a class whose best draw stays below the window of the largest value cannot
win: it is left out, and its probability is exactly 0 (bounded on both sides: the map is sparse).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from kexue.distributions.accuracy import Accuracy
from kexue.distributions.algorithm import Algorithm, State, normalised
from kexue.distributions.common_maximum import CommonMaximum, differentiable_log_probs
from kexue.distributions.locations import Locations, row_blocks
from kexue.distributions.pieces import Pieces, find_pieces
from kexue.distributions.running import RunningMaximum
from kexue.distributions.tails import reach

FEW = 32
"""Classes that can win, up to which every pair of a class and a node is cheaper than points."""


@dataclass(frozen=True)
class PiecewiseQuadrature(Algorithm):
    """For a density that is analytic between its kinks."""

    def log_probs(self, mu: Tensor, accuracy: Accuracy) -> tuple[Tensor, State]:
        """Over the classes that can win."""
        locations, pieces, index = self._prepare(mu, accuracy)
        points, counts = _chosen(locations, index)
        if self._are_many(index):
            chosen = torch.cat([rule.log_probs() for _, rule in self._rules(pieces, points, counts, accuracy)])
            rule: State = ()
        else:
            nodes, log_weights = pieces.nodes(points)
            chosen, level = CommonMaximum(self.noise, points, counts, nodes, log_weights).log_probs()
            rule = nodes, level
        log_probs = torch.full_like(locations.mu, -torch.inf).scatter_(-1, index, chosen.to(mu.dtype))
        return normalised(locations.masked(log_probs, -torch.inf)), (index, pieces.grid, chosen, *rule)

    def gradient(self, mu: Tensor, log_probs: Tensor, state: State, cotangent: Tensor, accuracy: Accuracy) -> Tensor:
        """Zero for a class that cannot win."""
        index, grid, chosen, *rest = state
        points, counts = _chosen(Locations.of(mu, reach(self.noise, accuracy.depth)), index)
        own = torch.where(chosen == -torch.inf, 0.0, cotangent.gather(-1, index).double() * counts)
        if self._are_many(index):
            rules = self._rules(Pieces(grid, self.noise.kinks), points, counts, accuracy)
            gradient = torch.cat([rule.gradient(chosen[rows], own[rows]) for rows, rule in rules])
        else:
            expected, reflected = CommonMaximum(self.noise, points, counts, *rest).moments(chosen, own)
            gradient = own * expected - reflected
        return torch.zeros_like(mu).scatter_(-1, index, (gradient * counts).to(mu.dtype))

    def potential(self, mu: Tensor, accuracy: Accuracy) -> Tensor:
        """sum_k x_k P(M = x_k)."""
        locations, pieces, index = self._prepare(mu, accuracy.finer())
        points, counts = _chosen(locations, index)
        if self._are_many(index):
            mean = torch.cat([rule.mean() for _, rule in self._rules(pieces, points, counts, accuracy.finer())])
        else:
            rule = CommonMaximum(self.noise, points, counts, *pieces.nodes(points))
            mean = replace(rule, log_weights=rule.log_probs()[1]).mean()
        return mean + mu.amax(-1).double()

    def twin(self, mu: Tensor, accuracy: Accuracy) -> Tensor:
        """With nodes that move with the kinks."""
        with torch.no_grad():
            locations, pieces, index = self._prepare(mu, accuracy)
        relative = (mu - mu.amax(-1, keepdim=True)).double()
        relative = torch.where(relative == -torch.inf, locations.low.double(), relative)
        points, counts = relative.gather(-1, index), locations.counts().gather(-1, index).double()
        nodes, log_weights = pieces.nodes(points)
        chosen = differentiable_log_probs(self.noise, points, counts, nodes, log_weights)
        log_probs = torch.full_like(mu, -torch.inf).scatter(-1, index, chosen.to(mu.dtype))
        return locations.masked(log_probs, -torch.inf)

    def _prepare(self, mu: Tensor, accuracy: Accuracy) -> tuple[Locations, Pieces, Tensor]:
        """The pieces, and the indices [rows, k] of the classes that can win, from the largest location on."""
        locations = Locations.of(mu, reach(self.noise, accuracy.depth))
        relative, counts = _relative(locations), locations.counts().double()
        pieces = find_pieces(self.noise, relative, counts, locations.low.double(), accuracy)
        can_win = (relative + self.noise.upper > pieces.grid[:, :1]).sum(-1)
        index = relative.topk(int(can_win.amax())).indices
        return locations, pieces, index

    def _are_many(self, index: Tensor) -> bool:
        return self.noise.last_piece is not None and index.shape[1] > FEW

    def _rules(
        self, pieces: Pieces, points: Tensor, counts: Tensor, accuracy: Accuracy
    ) -> Iterator[tuple[slice, RunningMaximum]]:
        """For some of the rows at a time."""
        piece, nats = self.noise.last_piece, accuracy.nats + math.log(points.shape[1])
        assert piece is not None
        for rows in row_blocks(points):
            breaks = Pieces(pieces.grid[rows], pieces.offsets).breaks(points[rows])
            yield rows, RunningMaximum(self.noise, piece, points[rows], counts[rows], breaks, nats)


def _relative(locations: Locations) -> Tensor:
    """In float64, however deep, because a gap that the noise cannot close is no small gap; absent ones at `low`."""
    relative = (locations.mu - locations.top).double()
    return torch.where(relative == -torch.inf, locations.low.double(), relative)


def _chosen(locations: Locations, index: Tensor) -> tuple[Tensor, Tensor]:
    return _relative(locations).gather(-1, index), locations.counts().gather(-1, index).double()
