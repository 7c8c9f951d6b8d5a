"""Negated exponential noise: exact from sorted locations, in O(n log n).

    mu_(1) >= mu_(2) >= ...,   A_k = sum_{j <= k} (mu_(k) - mu_(j)) <= 0
    p_(i) = sum_{k >= i} (exp A_k - exp A_{k+1}) / k
    dp_(i)/dmu_(j) = -p_(max(i, j)),  i != j,  and rows that sum to 0
    E max = mu_(1) - p_(1)

All terms are positive: nothing cancels. exp A_k is the cdf of the largest value at mu_(k), so classes for which
A_k is below the depth that counts are neither sorted nor looked at.
Source: METHODS.md section 4.2; the exponomial choice model of Alptekinoglu and Semple (2016).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from kexue.distributions.accuracy import FULL_DEPTH, Accuracy
from kexue.distributions.algorithm import Algorithm, State
from kexue.distributions.locations import pack, row_blocks

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
            ordered, order = mu[rows].double().sort(-1, descending=True)
            log_probs[rows] = torch.empty_like(ordered).scatter_(-1, order, _log_probs_sorted(ordered)).to(mu)
            index[rows] = order.int()
        return log_probs, (index, mu[:, :0].double())

    def gradient(self, mu: Tensor, log_probs: Tensor, state: State, cotangent: Tensor, accuracy: Accuracy) -> Tensor:
        """Running sums in the sorted order."""
        index, of_the_best = state
        gradient = torch.zeros_like(mu)
        for rows in row_blocks(mu):
            order, shallow = index[rows].long(), of_the_best.shape[1] > 0
            log_p = of_the_best[rows] if shallow else log_probs[rows].double().gather(-1, order)
            counts = log_p > -torch.inf
            g = torch.where(counts, cotangent[rows].gather(-1, order), 0.0).double()
            own = (_gradient_sorted if shallow else _gradient_sorted_deep)(log_p.masked_fill(~counts, -1e300), g)
            gradient[rows] = gradient[rows].scatter_add_(-1, order, own.to(mu))
        return gradient

    def potential(self, mu: Tensor, accuracy: Accuracy) -> Tensor:
        """The largest location less the largest probability."""
        log_probs, _ = self.log_probs(mu, accuracy)
        return mu.amax(-1).double() - log_probs.amax(-1).double().exp()

    def twin(self, mu: Tensor, accuracy: Accuracy) -> Tensor:
        """The sums as they are, without logarithms on the way: ties then have derivatives."""
        ordered, index = mu.double().sort(-1, descending=True)
        falls, rank = _falls(ordered)
        log_cdf = pad(-falls[:, :-1].cumsum(-1), (1, 0))
        terms = log_cdf.exp() * -torch.expm1(-falls) / rank
        probs = terms.flip(-1).cumsum(-1).flip(-1)
        log_probs = probs.clamp(min=torch.finfo(probs.dtype).tiny).log()
        return torch.zeros_like(mu).scatter(-1, index, log_probs.to(mu.dtype)).masked_fill(mu == -torch.inf, -torch.inf)


def _of_the_best(mu: Tensor, depth: float) -> tuple[Tensor, State]:
    """log p of the classes down to a depth, -inf of the others; indices and log p of the former in order."""
    index, valid = pack(mu > _last(mu, depth))
    chosen = mu.gather(-1, index).double().masked_fill(~valid, -torch.inf)
    chosen, order = chosen.sort(-1, descending=True)
    index, log_p = index.gather(-1, order), _log_probs_sorted(chosen)
    log_probs = torch.full_like(mu, -torch.inf).scatter_reduce_(-1, index, log_p.to(mu), "amax")
    return log_probs, (index, log_p)


def _last(mu: Tensor, depth: float) -> Tensor:
    """A location, [rows, 1], at which the log cdf of the largest value, -sum relu(mu_j - m), is below -depth."""
    high = mu.amax(-1, keepdim=True)
    low = high - depth - 1
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        below = (mu - middle).relu_().sum(-1, keepdim=True) > depth
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    return low


def _falls(mu: Tensor) -> tuple[Tensor, Tensor]:
    """A_k - A_{k+1} = k (mu_(k) - mu_(k+1)), infinite at the last present class; and k."""
    absent = mu[:, 1:] == -torch.inf
    gaps = (mu[:, :-1].masked_fill(absent, 0.0) - mu[:, 1:].masked_fill(absent, 0.0)).masked_fill(absent, torch.inf)
    rank = torch.arange(1, mu.shape[1] + 1, dtype=mu.dtype, device=mu.device)
    return pad(gaps, (0, 1), value=torch.inf) * rank, rank


def _log_probs_sorted(mu: Tensor) -> Tensor:
    """log p of locations in descending order; -inf where the location is."""
    falls, rank = _falls(mu)
    log_cdf = pad(-falls[:, :-1].cumsum(-1), (1, 0))
    terms = log_cdf + torch.log(-torch.expm1(-falls)) - rank.log()
    return terms.flip(-1).logcumsumexp(-1).flip(-1).masked_fill(mu == -torch.inf, -torch.inf)


def _gradient_sorted(log_p: Tensor, g: Tensor) -> Tensor:
    """g_j ((j - 1) + sum_{l > j} p_l / p_j) - p_j sum_{i < j} g_i / p_i - sum_{i > j} g_i."""
    p = log_p.exp()
    ratio = torch.where(p > 0, g / p, 0.0)
    before = torch.arange(p.shape[1], dtype=p.dtype, device=p.device)
    return g * before + ratio * _after(p) - p * (ratio.cumsum(-1) - ratio) - _after(g)


def _gradient_sorted_deep(log_p: Tensor, g: Tensor) -> Tensor:
    """The same with logarithms of every quotient: p may be far below what a float64 holds."""
    before = torch.arange(log_p.shape[1], dtype=log_p.dtype, device=log_p.device)
    log_after = pad(log_p.flip(-1).logcumsumexp(-1)[:, :-1], (1, 0), value=-torch.inf).flip(-1)
    result = g * (before + (log_after - log_p).exp()) - _after(g)
    for sign in (1, -1):
        sums = pad(((sign * g).clamp(min=0).log() - log_p).logcumsumexp(-1)[:, :-1], (1, 0), value=-torch.inf)
        result -= sign * (log_p + sums).exp()
    return result


def _after(values: Tensor) -> Tensor:
    """sum_{l > j} of values_l."""
    return values.flip(-1).cumsum(-1).flip(-1) - values
