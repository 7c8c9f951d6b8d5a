"""Probabilities as an average over the largest value M, at nodes that all classes share.

    G(x) = sum_j log F(x - mu_j)                    M has the cdf exp G
    p_i  = int h(x - mu_i) exp G(x) dx              h = f / F, the reverse hazard
    dp_i/dmu_j = -int h(x - mu_i) h(x - mu_j) exp G(x) dx,  i != j, and rows that sum to 0

With nodes x_k and weights omega_k in place of the integral, divided by the sum over classes, the probabilities
are exactly normalised at any number of nodes. The classes are given as points c with weights w (how many classes
a point stands for), so that the same lines serve the classes themselves, w = 1, and the points that
`chebyshev` puts in their place. All in logarithms.
Source: METHODS.md section 4.2; Su, kexue.fm/archives/9085 (the integral).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from kexue.distributions.noise import Noise
from kexue.distributions.noise.law import log_cdf_of

CHUNK = 2**16
"""Pairs of a point and a node in memory at a time."""


@dataclass(frozen=True)
class CommonMaximum:
    """Points c [rows, M] of weights w [rows, M], and nodes x [rows, K] of log weights [rows, K]."""

    noise: Noise
    points: Tensor
    weights: Tensor
    nodes: Tensor
    log_weights: Tensor

    def log_cdf(self) -> Tensor:
        """G at the nodes, [rows, K]."""
        total = torch.zeros_like(self.nodes)
        for rows, blocks in self._blocks():
            for columns in blocks:
                log_cdf = self.noise.log_cdf_standard(self._differences(rows, columns))
                total[rows] += _sum(self.weights[rows, columns], log_cdf)
        return total.masked_fill_(total.isnan(), -torch.inf)  # 0 times -inf, of absent classes, which lie at the least

    def log_probs(self) -> tuple[Tensor, Tensor]:
        """log p at the points, [rows, M], and the log weight of each node, G + log omega - log Z, [rows, K]."""
        log_probs, level = torch.empty_like(self.points), self.log_weights.clone()
        for rows, blocks in self._blocks():
            logarithms = _twice(blocks, partial(self._logarithms, rows))
            for columns, (log_cdf, _) in logarithms():
                level[rows] += _sum(self.weights[rows, columns], log_cdf)
            for columns, (_, log_hazard) in logarithms():
                log_probs[rows, columns] = log_hazard.add_(level[rows, None]).logsumexp(-1)
        top = log_probs.amax(-1, keepdim=True)
        log_total = top + (self.weights * (log_probs - top).exp()).sum(-1, keepdim=True).log()
        return log_probs - log_total, level - log_total

    def mean(self) -> Tensor:
        """E[M], [rows], where the log weights are the levels that `log_probs` returned."""
        densities = torch.zeros_like(self.nodes)
        for rows, blocks in self._blocks():
            for columns in blocks:
                log_density = self._logarithms(rows, columns)[1].add_(self.log_weights[rows, None])
                densities[rows] += _sum(self.weights[rows, columns], log_density.exp_())
        return (densities * self.nodes).sum(-1)

    def moments(self, log_probs: Tensor, cotangent: Tensor) -> tuple[Tensor, Tensor]:
        """E[sum_j h(M - mu_j) | c wins] and sum_k t_k h(x_k - c), with t_k = sum_c cotangent_c P(x_k | c wins).

        From them the gradient at class j is cotangent_j times the first less the second; both [rows, M]. The log
        weights are the levels that `log_probs` returned.
        """
        expected, reflected = torch.empty_like(self.points), torch.empty_like(self.points)
        for rows, blocks in self._blocks():
            hazards, shares = torch.zeros_like(self.nodes[rows]), torch.zeros_like(self.nodes[rows])
            tables = _twice(blocks, partial(self._tables, log_probs, rows))
            for columns, (hazard, posterior) in tables():
                hazards += _sum(self.weights[rows, columns], hazard)
                shares += _sum(cotangent[rows, columns], posterior)
            for columns, (hazard, posterior) in tables():
                expected[rows, columns] = (posterior @ hazards[..., None])[..., 0]
                reflected[rows, columns] = (hazard @ shares[..., None])[..., 0]
        return expected, reflected

    def _tables(self, log_probs: Tensor, rows: slice, columns: slice) -> tuple[Tensor, Tensor]:
        """h(x_k - c), and P(M = x_k | c wins), which is 0 for a class that never wins; [rows, M, K]."""
        _, log_hazard = self._logarithms(rows, columns)
        own = log_probs[rows, columns, None].clamp(min=torch.finfo(log_probs.dtype).min)
        return log_hazard.exp(), log_hazard.add_(self.log_weights[rows, None]).sub_(own).exp_()

    def _logarithms(self, rows: slice, columns: slice) -> tuple[Tensor, Tensor]:
        """log F and log h of x_k - c, [rows, M, K]."""
        z = self._differences(rows, columns)
        log_cdf, log_pdf = self.noise.log_cdf_standard(z), self.noise.log_pdf_standard(z)
        if not self.noise.kinks:
            return log_cdf, log_pdf.sub_(log_cdf)
        return log_cdf, torch.where(log_pdf == -torch.inf, log_pdf, log_pdf - log_cdf)

    def _differences(self, rows: slice, columns: slice) -> Tensor:
        return self.nodes[rows, None] - self.points[rows, columns, None]

    def _blocks(self) -> Iterator[tuple[slice, list[slice]]]:
        """Rows to be handled together, and the slices of points."""
        (num_rows, num_points), num_nodes = self.points.shape, self.nodes.shape[1]
        width = max(1, min(num_points, CHUNK // num_nodes))
        height = max(1, CHUNK // (width * num_nodes))
        blocks = [slice(left, left + width) for left in range(0, num_points, width)]
        for top in range(0, num_rows, height):
            yield slice(top, top + height), blocks


Tables = tuple[Tensor, Tensor]


def _twice(blocks: list[slice], compute: Callable[[slice], Tables]) -> Callable[[], Iterable[tuple[slice, Tables]]]:
    """The tables of all blocks, to be gone through twice: kept if there is one block, else computed again."""
    if len(blocks) == 1:
        kept = [(blocks[0], compute(blocks[0]))]
        return lambda: kept
    return lambda: ((block, compute(block)) for block in blocks)


def _sum(weights: Tensor, values: Tensor) -> Tensor:
    """Over the points: [rows, M] and [rows, M, K] to [rows, K]."""
    return (weights[:, None] @ values)[:, 0]


def differentiable_log_probs(noise: Noise, mu: Tensor, counts: Tensor, nodes: Tensor, log_weights: Tensor) -> Tensor:
    """log p, [rows, n], with everything that autograd needs to go through it again and again."""
    z = nodes[:, None] - mu[..., None]
    log_cdf, log_pdf = log_cdf_of(noise, z), noise.log_pdf_standard(z)
    outside = log_pdf == -torch.inf
    log_hazard = torch.where(outside, log_pdf, log_pdf - log_cdf)
    level = (counts[..., None] * log_cdf).sum(1, keepdim=True) + log_weights[:, None]
    exponents = log_hazard + level
    never = exponents.amax(-1) == -torch.inf
    log_probs = torch.logsumexp(exponents.masked_fill(never[..., None], 0.0), -1).masked_fill(never, -torch.inf)
    return log_probs - torch.logsumexp(log_probs.masked_fill(counts == 0, -torch.inf), -1, keepdim=True)
