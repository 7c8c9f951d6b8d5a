"""Negated exponential noise: exact from sorted locations, in O(n log n).

    mu_(1) >= mu_(2) >= ...,   A_k = sum_{j <= k} (mu_(k) - mu_(j)) <= 0,   f_k = A_k - A_{k+1} = k (mu_(k) - mu_(k+1))
    p_(i) = sum_{k >= i} (exp A_k - exp A_{k+1}) / k = q_i exp A_i,   q_i = (1 - exp(-f_i)) / i + exp(-f_i) q_{i+1}
    dp_(i)/dmu_(j) = -p_(max(i, j)),  i != j,  and rows that sum to 0
    E max = mu_(1) - p_(1)

All terms are positive: nothing cancels, and q, between 1/n and 1, is right however deep A is. exp A_k is the cdf of
the largest value at mu_(k), so for probabilities the classes for which A_k is below the depth that counts are neither
sorted nor looked at. The rows are kept from the least location to the largest, as they are sorted.
Source: METHODS.md section 4.2; the exponomial choice model of Alptekinoglu and Semple (2016).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.nn.functional import pad

from kexue.distributions.accuracy import FULL_DEPTH, Accuracy
from kexue.distributions.algorithm import Algorithm, State
from kexue.distributions.locations import pack, row_blocks
from kexue.distributions.order import Decays, ascending

FEW = 128
"""Classes below which all are sorted."""
HALVINGS = 6
"""Of the interval in which the last location that counts is looked for."""


@dataclass(frozen=True)
class SortedForm(Algorithm):
    """For noise whose log cdf is z up to 0."""

    def log_probs(self, mu: Tensor, accuracy: Accuracy) -> tuple[Tensor, State]:
        """Sort, sum from the top, sum back from the bottom."""
        if accuracy.depth < FULL_DEPTH and mu.shape[1] >= FEW:
            return _of_the_best(mu, accuracy.depth)
        log_probs, index = torch.empty_like(mu), torch.empty_like(mu, dtype=torch.int32)
        for rows in row_blocks(mu):
            ordered, order = ascending(mu[rows])
            log_probs[rows] = torch.empty_like(ordered).scatter_(-1, order, Sorted(ordered.double()).log_probs().to(mu))
            index[rows] = order
        return log_probs, (index,)

    def gradient(self, mu: Tensor, log_probs: Tensor, state: State, cotangent: Tensor, accuracy: Accuracy) -> Tensor:
        """In the sorted order; a class that was left out has no part in it."""
        gradient = torch.zeros_like(mu)
        for rows in row_blocks(mu):
            index = state[0][rows].long()
            order = index.clamp(min=0)
            ordered = mu[rows].gather(-1, order).double().masked_fill_(index < 0, -torch.inf)
            own = Sorted(ordered).gradient(cotangent[rows].gather(-1, order).double())
            gradient[rows] = gradient[rows].scatter_add_(-1, order, own.to(mu))
        return gradient

    def potential(self, mu: Tensor, accuracy: Accuracy) -> Tensor:
        """The largest location less the largest probability."""
        log_probs, _ = self.log_probs(mu, accuracy)
        return mu.amax(-1).double() - log_probs.amax(-1).double().exp()

    def twin(self, mu: Tensor, accuracy: Accuracy) -> Tensor:
        """The sums as they are, without logarithms on the way: ties then have derivatives."""
        least_first, index = mu.double().sort(-1)
        ordered = Sorted(least_first)
        terms = ordered.log_cdf().exp() * -torch.expm1(-ordered.falls) / ordered.rank
        log_probs = terms.cumsum(-1).clamp(min=torch.finfo(terms.dtype).tiny).log()
        return torch.zeros_like(mu).scatter(-1, index, log_probs.to(mu.dtype)).masked_fill(mu == -torch.inf, -torch.inf)


@dataclass(frozen=True)
class Sorted:
    """Locations [rows, n] in ascending order, those of absent classes, -inf, first; all in float64."""

    mu: Tensor

    def log_probs(self) -> Tensor:
        """A + log q; -inf where the location is."""
        return self.log_cdf() + self.ratio.log()

    def gradient(self, g: Tensor) -> Tensor:
        """g_j (j + sum_{l >= j} p_l / p_j) - p_j sum_{i <= j} g_i / p_i - sum_{i >= j} g_i, j from the top."""
        g = self._but_absent(g, 0.0)
        below = self._decays.up(self.ratio).div_(self.ratio)
        above = self._decays.down(g / self.ratio).mul_(self.ratio)
        return self._but_absent(below.add_(self.rank).mul_(g).sub_(above).sub_(g.cumsum(-1)), 0.0)

    def log_cdf(self) -> Tensor:
        """A."""
        return pad(self.falls[:, 1:].flip(-1).cumsum_(-1).neg_(), (1, 0)).flip(-1)

    @cached_property
    def ratio(self) -> Tensor:
        """q."""
        return self._decays.up(torch.expm1(-self.falls) / -self.rank)

    @cached_property
    def falls(self) -> Tensor:
        """f, infinite at the least present class and where absent."""
        gaps = self.mu.diff(dim=-1, prepend=self.mu.new_full((len(self.mu), 1), -torch.inf))
        return self._but_absent(gaps, torch.inf) * self.rank

    @cached_property
    def rank(self) -> Tensor:
        """From n down to 1."""
        return torch.arange(self.mu.shape[1], 0, -1, dtype=self.mu.dtype, device=self.mu.device)

    @cached_property
    def _decays(self) -> Decays:
        return Decays.of(self.falls)

    @cached_property
    def _some_absent(self) -> bool:
        return bool((self.mu[:, 0] == -torch.inf).any())

    def _but_absent(self, values: Tensor, absent: float) -> Tensor:
        return values.masked_fill(self.mu == -torch.inf, absent) if self._some_absent else values


def _of_the_best(mu: Tensor, depth: float) -> tuple[Tensor, State]:
    """log p of the classes down to a depth, -inf of the others; indices of the former in order, or -1."""
    index, meant = pack(mu > _last(mu, depth))
    chosen, order = ascending(mu.gather(-1, index).masked_fill(~meant, -torch.inf))
    index = index.gather(-1, order)
    log_p = Sorted(chosen.double()).log_probs().to(mu)
    log_probs = torch.full_like(mu, -torch.inf).scatter_reduce_(-1, index, log_p, "amax")
    return log_probs, (index.masked_fill(chosen == -torch.inf, -1).int(),)


def _last(mu: Tensor, depth: float) -> Tensor:
    """A location, [rows, 1], at which the log cdf of the largest value, -sum relu(mu_j - m), is below -depth."""
    high = mu.amax(-1, keepdim=True)
    low = high - depth - 1
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        below = (mu - middle).relu_().sum(-1, keepdim=True) > depth
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    return low
