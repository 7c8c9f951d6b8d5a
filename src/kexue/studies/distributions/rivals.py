"""The sparse maps that the laws are compared with: sparsemax and entmax 1.5, and their losses.

    p = argmax over the simplex of <scores, p> - omega(p)
    sparsemax    omega = (|p|^2 - 1) / 2             p_i = max(0, s_i - tau)
    entmax 1.5   omega = 4/3 (sum p^(3/2) - 1)       p_i = max(0, s_i / 2 - tau)^2

tau makes the sum 1. The k largest scores are the support, where k is the largest for which tau stays below them.
The loss is that of Fenchel and Young, <s, p> - omega(p) - s_target, with gradient p - one_hot(target).
Source: Martins and Astudillo 2016; Peters, Niculae and Martins 2019; Blondel, Martins and Niculae 2020.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def sparsemax(scores: Tensor) -> Tensor:
    """The point of the simplex nearest to the scores; float[..., n] to float[..., n]."""
    probs = (scores - _threshold(scores, _sparsemax_threshold)).clamp(min=0).detach()
    return _with_jacobian(probs, (probs > 0).to(probs.dtype), scores)


def entmax15(scores: Tensor) -> Tensor:
    """The map halfway between softmax and sparsemax; float[..., n] to float[..., n]."""
    half = scores / 2
    probs = (half - _threshold(half, _entmax15_threshold)).clamp(min=0).square().detach()
    return _with_jacobian(probs, probs.sqrt(), scores)


def sparsemax_loss(scores: Tensor, target: Tensor) -> Tensor:
    """float[..., n] and long[...] to float[...]; 0 exactly where the target leads by 1."""
    probs = sparsemax(scores).detach()
    return _fenchel_young(scores, target, probs, (probs.square().sum(-1) - 1) / 2)


def entmax15_loss(scores: Tensor, target: Tensor) -> Tensor:
    """float[..., n] and long[...] to float[...]; 0 exactly where the target leads by 2."""
    probs = entmax15(scores).detach()
    return _fenchel_young(scores, target, probs, (probs.pow(1.5).sum(-1) - 1) * 4 / 3)


def _sparsemax_threshold(k: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    """tau from sum over the k largest of (s - tau) = 1."""
    return mean - 1 / k


def _entmax15_threshold(k: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    """tau from sum over the k largest of (s - tau)^2 = 1; where there is none the support is smaller than k."""
    room = 1 / k - variance
    return torch.where(room < 0, torch.inf, mean - room.clamp(min=0).sqrt())


def _threshold(scores: Tensor, candidate: Callable[[Tensor, Tensor, Tensor], Tensor]) -> Tensor:
    """The candidate of the largest k that stays below the k-th largest score."""
    ordered = scores.detach().sort(-1, descending=True).values
    largest = ordered[..., :1]
    ordered = ordered - largest  # so that a common shift costs the variance no digits
    k = torch.arange(1, scores.shape[-1] + 1, dtype=scores.dtype, device=scores.device)
    mean = ordered.cumsum(-1) / k
    variance = (ordered.square().cumsum(-1) / k - mean.square()).clamp(min=0)
    tau = candidate(k, mean, variance)
    support = (tau < ordered).sum(-1, keepdim=True)
    return largest + tau.gather(-1, support - 1)


def _with_jacobian(probs: Tensor, weight: Tensor, scores: Tensor) -> Tensor:
    """`probs` with the Jacobian diag(w) - w w' / sum(w), which both maps have, as the gradient in the scores."""
    mean = (weight * scores).sum(-1, keepdim=True) / weight.sum(-1, keepdim=True)
    change = weight * (scores - mean)
    return probs + (change - change.detach())


def _fenchel_young(scores: Tensor, target: Tensor, probs: Tensor, omega: Tensor) -> Tensor:
    chosen = scores.gather(-1, target.unsqueeze(-1)).squeeze(-1)
    return (probs * scores).sum(-1) - omega - chosen
