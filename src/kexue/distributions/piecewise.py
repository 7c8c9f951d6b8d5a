"""Any law with kinks: Gauss-Legendre between the kinks, over the classes that can be the largest.

Under noise that is bounded above, a class whose best draw stays below the window of the largest value cannot
win: it is left out, and its probability is exactly 0 (bounded on both sides: the map is sparse).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from kexue.distributions.accuracy import Accuracy
from kexue.distributions.algorithm import Algorithm, State, normalised
from kexue.distributions.common_maximum import CommonMaximum, differentiable_log_probs
from kexue.distributions.locations import Locations
from kexue.distributions.pieces import Pieces, find_pieces
from kexue.distributions.tails import reach


@dataclass(frozen=True)
class PiecewiseQuadrature(Algorithm):
    """For a density that is analytic between its kinks."""

    def log_probs(self, mu: Tensor, accuracy: Accuracy) -> tuple[Tensor, State]:
        """Over the classes that can win."""
        locations, pieces, index = self._prepare(mu, accuracy)
        points, counts = _chosen(locations, index)
        nodes, log_weights = pieces.nodes(points)
        chosen, level = CommonMaximum(self.noise, points, counts, nodes, log_weights).log_probs()
        log_probs = torch.full_like(locations.mu, -torch.inf).scatter_(-1, index, chosen.to(mu.dtype))
        log_probs = normalised(locations.masked(log_probs, -torch.inf))
        return log_probs, (index, points, counts, nodes, level, chosen)

    def gradient(self, mu: Tensor, log_probs: Tensor, state: State, cotangent: Tensor, accuracy: Accuracy) -> Tensor:
        """Zero for a class that cannot win."""
        index, points, counts, nodes, level, chosen = state
        rule = CommonMaximum(self.noise, points, counts, nodes, level)
        own = torch.where(chosen == -torch.inf, 0.0, cotangent.gather(-1, index).double() * counts)
        expected, reflected = rule.moments(chosen, own)
        gradient = (own * expected - reflected) * counts
        return torch.zeros_like(mu).scatter_(-1, index, gradient.to(mu.dtype))

    def potential(self, mu: Tensor, accuracy: Accuracy) -> Tensor:
        """sum_k x_k P(M = x_k)."""
        _, points, counts, nodes, level, _ = self.log_probs(mu, accuracy.finer())[1]
        return CommonMaximum(self.noise, points, counts, nodes, level).mean() + mu.amax(-1).double()

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
        """The pieces, and the indices [rows, k] of the classes that can win."""
        locations = Locations.of(mu, reach(self.noise, accuracy.depth))
        relative, counts = _relative(locations), locations.counts().double()
        pieces = find_pieces(self.noise, relative, counts, locations.low.double(), accuracy)
        can_win = (relative + self.noise.upper > pieces.grid[:, :1]).sum(-1)
        index = relative.topk(int(can_win.amax()), sorted=False).indices
        return locations, pieces, index


def _relative(locations: Locations) -> Tensor:
    """In float64, however deep, because a gap that the noise cannot close is no small gap; absent ones at `low`."""
    relative = (locations.mu - locations.top).double()
    return torch.where(relative == -torch.inf, locations.low.double(), relative)


def _chosen(locations: Locations, index: Tensor) -> tuple[Tensor, Tensor]:
    return _relative(locations).gather(-1, index), locations.counts().gather(-1, index).double()
