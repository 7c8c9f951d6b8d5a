"""Where to put the nodes of a law with kinks: Gauss-Legendre on each piece between them.

    breaks = {mu_j + kink} and a grid over the window in which the largest value decides

Between two breaks the integrand is analytic (for uniform noise a polynomial), so the error falls as fast as for
a smooth law. The nodes are differentiable functions of the locations: where an integrand jumps at a kink, that
is what makes second derivatives right.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from kexue.distributions.accuracy import Accuracy
from kexue.distributions.common_maximum import CommonMaximum
from kexue.distributions.nodes import Line, window
from kexue.distributions.noise import Noise
from kexue.distributions.tails import log_two_sided

NODES_PER_PIECE = 12
"""Enough for exp(10 t) on a piece, to the rounding of float64."""
DROP_PER_PIECE = 4.0
"""Nats that the integrand changes by on an average piece of the grid."""
LONGEST_PIECE = 0.5
"""Of the grid, in units of the noise."""
ZOOMS = 4
"""How often the window is looked at again, closer: many classes make it narrow."""


@dataclass(frozen=True)
class Breaks:
    """Pieces from `left` [rows, P] on, up to `end` [rows, 1]; nodes and log weights, [rows, P, Q].

    A piece without length has a node in the middle of all and log weights of -inf.
    """

    left: Tensor
    end: Tensor
    nodes: Tensor
    log_weights: Tensor


@dataclass(frozen=True)
class Pieces:
    """The grid, [rows, count], that breaks at the `offsets` from each class are put into."""

    grid: Tensor
    offsets: tuple[float, ...]

    def breaks(self, mu: Tensor) -> Breaks:
        """The pieces for locations [rows, n]; differentiable."""
        begin, end = self.grid[:, :1], self.grid[:, -1:]
        kinks = torch.cat([mu + offset for offset in self.offsets], -1)
        inside = (kinks > begin) & (kinks < end)
        most = int(inside.sum(-1).amax())
        kinks = torch.where(inside, kinks, end).topk(most, largest=False).values
        breaks = torch.cat([self.grid, kinks], -1).sort(-1).values
        lengths = breaks.diff(dim=-1)
        some = (lengths > 0).any(0)  # ties leave pieces without length, often many
        left, length = breaks[:, :-1][:, some], lengths[:, some, None]
        gauss, log_gauss = (own.to(mu.device) for own in gauss_legendre(NODES_PER_PIECE))
        empty = length <= 0
        nodes = torch.where(empty, (begin + end)[..., None] / 2, left[..., None] + length * gauss)
        log_weights = (torch.where(empty, 1.0, length).log() + log_gauss).masked_fill(empty, -torch.inf)
        return Breaks(left, end, nodes, log_weights)

    def nodes(self, mu: Tensor) -> tuple[Tensor, Tensor]:
        """Nodes and log weights, [rows, K]."""
        breaks = self.breaks(mu)
        return breaks.nodes.flatten(1), breaks.log_weights.flatten(1)


def find_pieces(noise: Noise, mu: Tensor, counts: Tensor, low: Tensor, accuracy: Accuracy) -> Pieces:
    """The grid for locations between `low`, [rows, 1], and 0; all in float64."""
    line = Line(low, noise.heavy_tailed)
    first, last, _ = window(noise, mu, counts, line, accuracy, zooms=ZOOMS)
    deepest = min(accuracy.depth, float(-log_two_sided(noise, -low).amin()))
    x = line.x(first)
    fall = -CommonMaximum(noise, mu, counts, x, torch.zeros_like(x)).log_cdf().clamp(min=-mu.shape[1])
    drop = max(accuracy.nats + deepest, min(accuracy.nats + accuracy.depth, float(fall.amax())))
    num_pieces = max(drop / DROP_PER_PIECE, float((last - first).amax()) / LONGEST_PIECE)
    share = torch.linspace(0, 1, math.ceil(num_pieces) + 5, dtype=low.dtype, device=low.device)
    return Pieces(line.x(first + (last - first) * share), noise.kinks)


def find_ladder(noise: Noise, mu: Tensor, counts: Tensor, low: Tensor, accuracy: Accuracy) -> Pieces:
    """Pieces that grow as powers of 2 away from each class: for power tails and classes very far apart."""
    line = Line(low, noise.heavy_tailed)
    first, last, _ = window(noise, mu, counts, line, accuracy)
    grid = torch.cat([line.x(first), line.x(last)], -1)
    steps = [noise.strip / 2 * 2.0**k for k in range(1 + int(math.log2(float((grid[:, 1] - grid[:, 0]).amax()))))]
    return Pieces(grid, (0.0, *steps, *(-step for step in steps)))


@lru_cache(maxsize=8)
def gauss_legendre(count: int) -> tuple[Tensor, Tensor]:
    """Nodes in [0, 1] and the logarithms of their weights."""
    nodes, weights = np.polynomial.legendre.leggauss(count)
    return torch.from_numpy((nodes + 1) / 2), torch.from_numpy(np.log(weights / 2))
