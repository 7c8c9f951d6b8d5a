"""Slow and obvious twins of the multi-label losses: every score of every pair, in float64, one by one."""

from __future__ import annotations

import torch
from torch import Tensor


def additive_scores(shared: Tensor, row: Tensor, column: Tensor) -> Tensor:
    """[batch, num_labels, seq, seq]: shared + row + column."""
    return shared[:, None] + row[..., :, None] + column[..., None, :]


def product_scores(query: Tensor, key: Tensor) -> Tensor:
    """[batch, num_labels, seq, seq]: query . key."""
    return torch.einsum("bhid,bhjd->bhij", query, key)


def classes(mask: Tensor, *, ordered: bool) -> Tensor:
    """[batch, seq, seq]: True where (start, end) is a class, decided pair by pair."""
    batch, seq = mask.shape
    kept = torch.zeros(batch, seq, seq, dtype=torch.bool)
    for b in range(batch):
        for i in range(seq):
            for j in range(seq):
                kept[b, i, j] = bool(mask[b, i]) and bool(mask[b, j]) and (i <= j or not ordered)
    return kept


def targets(positives: Tensor, shape: torch.Size) -> Tensor:
    """[batch, num_labels, seq, seq]: True at the positives."""
    hot = torch.zeros(shape, dtype=torch.bool)
    for b, h, i, j in positives.tolist():
        hot[b, h, i, j] = True
    return hot


def pair_loss(scores: Tensor, positives: Tensor, mask: Tensor, *, ordered: bool) -> Tensor:
    """[batch, num_labels]: the loss of all pairs, in float64."""
    hot, kept = targets(positives, scores.shape), classes(mask, ordered=ordered)
    scores = scores.double()
    rows = [
        class_loss(scores[b, h][kept[b]], hot[b, h][kept[b]])
        for b in range(scores.shape[0])
        for h in range(scores.shape[1])
    ]
    return torch.stack(rows).view(scores.shape[:2]) if rows else scores.new_zeros(scores.shape[:2])


def class_loss(scores: Tensor, hot: Tensor) -> Tensor:
    """The loss of one head: scores[classes] and a boolean for each."""
    return _log1p_sum_exp(-scores[hot]) + _log1p_sum_exp(scores[~hot])


def _log1p_sum_exp(x: Tensor) -> Tensor:
    """log(1 + sum exp(x)) by factoring out the largest exponential; series for sums that vanish beside 1."""
    if x.numel() == 0 or x.max() < -30:
        return x.exp().sum()
    return torch.cat((x, x.new_zeros(1))).logsumexp(0)
