"""Very many classes whose noise has kinks: Chebyshev points with running sums, instead of every pair.

    G(x)  = sum over classes with mu_j > x - upper of log F(x - mu_j)    = sum_m W_m(x) log F(x - c_m)
    p(mu) = sum over nodes x_k < mu + upper of omega_k h(x_k - mu) exp G = sum_m L_m(mu) Z_m(mu)

At its largest value the noise has a kink, and there is one for each class among the nodes. On either side of it a
class either counts in full or not at all, so with classes in order of their locations the weights of the points,
W_m(x) = sum L_m(mu_j) over the classes that count, are running sums, and so are Z_m = sum omega_k h(x_k - c_m) exp G
over the nodes that count. Between its kinks log F is analytic and is continued beyond them. The other kinks matter
to few classes: one below them costs at least a constant part of the depth. These few are points of their own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from operator import attrgetter
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from kexue.distributions.chebyshev import chebyshev_nodes, lagrange
from kexue.distributions.noise import Noise
from kexue.distributions.noise.law import LastPiece
from kexue.distributions.pieces import Breaks

CHUNK = 2**18
"""Pairs of a point and a node in memory at a time."""
HALF_DEPTH = 380.0
"""Nats by which exp G is raised and 1/p lowered, so that neither leaves the range of a float64."""
LARGEST = 690.0
"""Logarithm of the largest summand: 50,000 of them are still a float64."""


Kernel = Callable[[Tensor], Tensor]
"""Of the distance between a node and a class."""


class Cell(NamedTuple):
    """Classes of neighbouring locations and the points that stand for them.

    `columns` of the classes, `points` c [rows, M], `basis` L_m(mu_j) [rows, columns, M] (0 for classes that are in
    another cell of their row), and log F and h as functions of the distance.
    """

    columns: slice
    points: Tensor
    basis: Tensor
    log_cdf: Kernel
    hazard: Kernel


@dataclass(frozen=True)
class RunningMaximum:
    """Classes mu [rows, n] from the largest on, counts [rows, n] of 1 or 0, and pieces of the largest value.

    `piece` is the last one of the noise; `nats` is the accuracy of the points.
    """

    noise: Noise
    piece: LastPiece
    mu: Tensor
    counts: Tensor
    breaks: Breaks
    nats: float

    def log_probs(self) -> Tensor:
        """log p of the classes, [rows, n]; their sum is 1 but for the error of the quadrature."""
        (averages,) = self._averages(self._mass())
        return averages.clamp(min=0.0).log() - HALF_DEPTH + (self.mu - self._near)

    def gradient(self, log_probs: Tensor, cotangent: Tensor) -> Tensor:
        """sum_i cotangent_i dlog p_i/dmu_j, [rows, n]; a class that never wins has the cotangent 0."""
        inverse = (
            torch.where(cotangent == 0, 0.0, self.mu - self._near - log_probs - HALF_DEPTH).clamp(max=LARGEST).exp()
        )
        share, mass = cotangent * inverse, self._mass()
        hazards, shares = self._sums(_hazard_of, self.counts, share)
        expected, reflected = self._averages(mass * hazards, mass * shares)
        return share * expected - reflected

    def mean(self) -> Tensor:
        """E[M], [rows]."""
        (hazards,) = self._sums(_hazard_of, self.counts)
        return (self._mass() * hazards * self.breaks.nodes).sum((1, 2)) * math.exp(-HALF_DEPTH)

    def _mass(self) -> Tensor:
        """omega exp G at the nodes, [rows, P, Q], raised."""
        (log_cdf,) = self._sums(_log_cdf_of, self.counts)
        return log_cdf.add_(self.breaks.log_weights).add_(HALF_DEPTH).exp_()

    def _sums(self, kernel: Callable[[Cell], Kernel], *values: Tensor) -> list[Tensor]:
        """sum_j values_j f(x_k - mu_j) over the classes that count at x_k, [rows, P, Q], for each of the values."""
        totals = [torch.zeros_like(self.breaks.nodes) for _ in values]
        for cell in self.cells:
            sums = [pad((own[:, cell.columns, None] * cell.basis).cumsum(1), (0, 0, 1, 0)) for own in values]
            active = (self._num_active - cell.columns.start).clamp(0, cell.basis.shape[1])
            for pieces, table in self._tables(cell, kernel(cell)):
                for total, own in zip(totals, sums, strict=True):
                    total[:, pieces] += (table @ _rows_at(own, active[:, pieces])[..., None])[..., 0]
        return totals

    def _averages(self, *masses: Tensor) -> list[Tensor]:
        """sum_k mass_k h(x_k - mu_j) over the nodes at which class j counts, [rows, n], for each of the masses."""
        results = [torch.zeros_like(self.mu) for _ in masses]
        for cell in self.cells:
            sums = [self.mu.new_empty(*mass.shape[:2], cell.points.shape[1]) for mass in masses]
            for pieces, table in self._tables(cell, cell.hazard):
                for own, mass in zip(sums, masses, strict=True):
                    own[:, pieces] = (mass[:, pieces, None] @ table)[:, :, 0]
            last = self._num_pieces[:, cell.columns]
            for result, own in zip(results, sums, strict=True):
                result[:, cell.columns] += (_rows_at(pad(own.cumsum(1), (0, 0, 1, 0)), last) * cell.basis).sum(-1)
        return results

    def _tables(self, cell: Cell, kernel: Kernel) -> Iterator[tuple[slice, Tensor]]:
        """f(x_k - c_m), [rows, P', Q, M], for some of the pieces at a time."""
        nodes = self.breaks.nodes
        width = max(1, CHUNK // (nodes.shape[0] * nodes.shape[2] * cell.points.shape[1]))
        for left in range(0, nodes.shape[1], width):
            pieces = slice(left, left + width)
            yield pieces, kernel(nodes[:, pieces, :, None] - cell.points[:, None, None])

    @cached_property
    def _near(self) -> Tensor:
        """mu, but for classes so far below that more makes no other difference than to log p."""
        return torch.maximum(self.mu, self.breaks.left[:, :1] - self.piece.far)

    @cached_property
    def _num_active(self) -> Tensor:
        """How many classes count on each piece, [rows, P]."""
        kinks = (self._near + self.noise.upper).flip(-1)
        return self._near.shape[1] - torch.searchsorted(kinks, self.breaks.left, right=True)

    @cached_property
    def _num_pieces(self) -> Tensor:
        """On how many pieces each class counts, [rows, n]."""
        return torch.searchsorted(self.breaks.left, self._near + self.noise.upper)

    @cached_property
    def cells(self) -> list[Cell]:
        """Classes of their own where other kinks are in reach; equal cells of the rest."""
        piece, begin = self.piece, self.breaks.left[:, :1]
        num_single = int((begin - self._near < piece.settled).sum(-1).amax())
        cells = [self._single(num_single)] if num_single else []
        if num_single == self._near.shape[1]:
            return cells
        high, low = self._near[:, num_single : num_single + 1], self._near[:, -1:]
        count = max(1, math.ceil(float((high - low).amax()) / piece.room))
        width = ((high - low) / count).clamp(min=1e-3 * piece.room)
        rate = math.acosh(1 + 2 * float(((begin - high - piece.singular) / width).amin()))
        num_points = max(4, math.ceil(self.nats / rate) + 1)
        which = ((high - self._near[:, num_single:]) / width).long().clamp(0, count - 1)
        for number in range(count):
            inside = which == number
            some = inside.any(0).nonzero()
            if len(some):
                columns = slice(num_single + int(some[0]), num_single + int(some[-1]) + 1)
                centre = high - (number + 0.5) * width
                t = (self._near[:, columns] - centre) * (2 / width)
                basis = lagrange(t, num_points) * inside[:, int(some[0]) : int(some[-1]) + 1, None]
                points = centre + width / 2 * chebyshev_nodes(num_points).to(centre)
                cells.append(Cell(columns, points, basis, piece.log_cdf, piece.hazard))
        return cells

    def _single(self, count: int) -> Cell:
        columns = slice(0, count)
        basis = torch.eye(count, dtype=self._near.dtype, device=self._near.device).expand(self._near.shape[0], -1, -1)
        return Cell(columns, self._near[:, columns], basis, self.noise.log_cdf_standard, self._hazard)

    def _hazard(self, z: Tensor) -> Tensor:
        """f/F from the law itself."""
        log_pdf = self.noise.log_pdf_standard(z)
        return torch.where(log_pdf == -torch.inf, log_pdf, log_pdf - self.noise.log_cdf_standard(z)).exp()


_log_cdf_of, _hazard_of = attrgetter("log_cdf"), attrgetter("hazard")


def _rows_at(table: Tensor, index: Tensor) -> Tensor:
    """[rows, n, M] at [rows, k] to [rows, k, M]."""
    return table.gather(1, index[..., None].expand(-1, -1, table.shape[2]))
