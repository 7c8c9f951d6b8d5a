"""Any smooth law: equal steps over the largest value, and Chebyshev points in place of the classes where many."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from kexue.distributions.accuracy import Accuracy
from kexue.distributions.algorithm import Algorithm, State
from kexue.distributions.chebyshev import Chebyshev, enough_points
from kexue.distributions.classes import Direct, Interpolated
from kexue.distributions.common_maximum import CommonMaximum, differentiable_log_probs
from kexue.distributions.locations import Locations
from kexue.distributions.nodes import smooth_nodes
from kexue.distributions.pieces import find_ladder
from kexue.distributions.tails import log_two_sided, reach

NARROWEST = 0.25
"""Of the interval of Chebyshev points, in units of the noise, where all locations are (nearly) tied."""
FAR_APART = 2000.0
"""In units of the noise: over more, equal steps that resolve every class are too many for power tails."""
WIDE = 10.0
"""In units of the noise: over more, the best of very many classes wins by itself, and the rounding of the many in
float32 would move its probability in the sixth digit; what is relative is then computed in float64."""
MARGIN = 20.0
"""Nats by which `reach` may underestimate a depth: it does not count in how many ways a gap can be closed."""


@dataclass(frozen=True)
class SmoothQuadrature(Algorithm):
    """For a density that is analytic on the whole line."""

    def log_probs(self, mu: Tensor, accuracy: Accuracy) -> tuple[Tensor, State]:
        """Spread the classes to points, integrate there, interpolate back."""
        classes = self._classes(mu, accuracy)
        points, weights = classes.points(), classes.weights()
        nodes, log_weights = self._nodes(points, weights, classes.locations.low, accuracy)
        at_points, level = CommonMaximum(self.noise, points, weights, nodes, log_weights).log_probs()
        log_probs = classes.log_probs(at_points)
        if classes.locations.moved:
            log_probs += self._excess(classes.locations)
        return log_probs, (points, weights, nodes, level, at_points)

    def gradient(self, mu: Tensor, log_probs: Tensor, state: State, cotangent: Tensor, accuracy: Accuracy) -> Tensor:
        """The cotangent the same way there and back."""
        points, weights, nodes, level, at_points = state
        classes = self._classes(mu, accuracy)
        rule = CommonMaximum(self.noise, points, weights, nodes, level)
        return classes.gradient(cotangent, lambda spread: rule.moments(at_points, spread))

    def potential(self, mu: Tensor, accuracy: Accuracy) -> Tensor:
        """sum_k x_k P(M = x_k)."""
        finer = accuracy.finer(3.0) if self.noise.heavy_tailed else accuracy.finer()
        points, weights, nodes, level, _ = self.log_probs(mu, finer)[1]
        mean = CommonMaximum(self.noise, points, weights, nodes, level).mean()
        return mean + mu.amax(-1).double()

    def twin(self, mu: Tensor, accuracy: Accuracy) -> Tensor:
        """The integral at the same nodes, class by class."""
        with torch.no_grad():
            locations = self._classes(mu, accuracy).locations
            nodes, level = self.log_probs(mu, accuracy)[1][2:4]
            points, counts = locations.relative(), locations.counts()
            log_weights = level - CommonMaximum(self.noise, points, counts, nodes, level).log_cdf()
        relative = (mu - locations.top).to(points)
        relative = torch.where(relative < points, points, relative)
        log_probs = differentiable_log_probs(self.noise, relative, counts, nodes, log_weights)
        return locations.masked(log_probs, -torch.inf).to(mu)

    def _nodes(self, points: Tensor, weights: Tensor, low: Tensor, accuracy: Accuracy) -> tuple[Tensor, Tensor]:
        """Equal steps, or where they would be too many a ladder of pieces at each class."""
        if self.noise.heavy_tailed and -float(low.amin()) > FAR_APART:
            wide = points.double(), weights.double(), low.double()
            nodes, log_weights = find_ladder(self.noise, *wide, accuracy).nodes(wide[0])
            return nodes.to(points), log_weights.to(points)
        return smooth_nodes(self.noise, points, weights, low, accuracy)

    def _classes(self, mu: Tensor, accuracy: Accuracy) -> Direct | Interpolated:
        """No points where the classes themselves are fewer."""
        locations = Locations.of(mu, reach(self.noise, accuracy.depth + MARGIN))
        width = max(NARROWEST, -float(locations.low.amin()))
        if width > WIDE:
            locations = replace(locations, low=locations.low.double())
        low = locations.low.double().clamp(max=-NARROWEST)
        degree = math.ceil(accuracy.nats / math.asinh(2 * self.noise.strip / width))
        if enough_points(degree) >= mu.shape[1]:
            return Direct(locations)
        return Interpolated(locations, Chebyshev(low, torch.zeros_like(low), enough_points(degree)))

    def _excess(self, locations: Locations) -> Tensor:
        """How much deeper than at `low` log p is at a location moved up to there."""
        gap = locations.top - locations.mu
        reached = -locations.low.to(gap).expand_as(gap)
        excess = log_two_sided(self.noise, torch.maximum(gap, reached)) - log_two_sided(self.noise, reached)
        return locations.masked(excess, 0.0)
