"""Labelled token pairs as rows of (batch, label, start, end): checked at the door, each counted once."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from kexue.ops.logspace import segment_log1p_sum_exp


class Positives(NamedTuple):
    """The columns of distinct positives, sorted by (batch, label, start, end); all long[n]."""

    batch: Tensor
    label: Tensor
    start: Tensor
    end: Tensor


def distinct_positives(
    positives: Int[Tensor, "n 4"], mask: Bool[Tensor, "batch seq"], num_labels: int, *, ordered: bool
) -> Positives:
    """The positives without repetitions.

    Raises ValueError that names the first positive outside the tensor, on padding, or, where `ordered`, with
    start > end: no score of such a pair is part of a loss.
    """
    positives = positives.to(device=mask.device, dtype=torch.long)
    _check(positives, mask, num_labels, ordered=ordered)
    shape = (mask.shape[0], num_labels, mask.shape[1], mask.shape[1])
    # As one number each: torch sorts numbers some thirty times faster than rows.
    return Positives(*torch.unravel_index(torch.unique(_ravel(positives, shape)), shape))


def positive_term(
    scores: Float[Tensor, " n"], positives: Positives, batch: int, num_labels: int
) -> tuple[Float[Tensor, "batch num_labels"], Float[Tensor, " n"]]:
    """log(1 + sum of exp(-s)) over the positives, which have these scores s, and how far each is pulled up."""
    segments = positives.batch * num_labels + positives.label
    terms, pulls = segment_log1p_sum_exp(-scores, segments, batch * num_labels)
    return terms.view(batch, num_labels), pulls


def _ravel(rows: Int[Tensor, "n dims"], shape: tuple[int, ...]) -> Int[Tensor, " n"]:
    """The place of each row of indices in a tensor of this shape, laid end to end."""
    place = rows[:, 0]
    for column, size in zip(rows.unbind(1)[1:], shape[1:], strict=True):
        place = place * size + column
    return place


def _check(positives: Tensor, mask: Tensor, num_labels: int, *, ordered: bool) -> None:
    sizes = positives.new_tensor([mask.shape[0], num_labels, mask.shape[1], mask.shape[1]])
    outside = ((positives < 0) | (positives >= sizes)).any(1)
    batch, _, start, end = positives.masked_fill(outside[:, None], 0).unbind(1)
    padded = ~(mask[batch, start] & mask[batch, end]) if mask.numel() else torch.zeros_like(outside)
    below = (start > end) if ordered else torch.zeros_like(outside)
    if not bool((outside | padded | below).any()):
        return
    first = int((outside | padded | below).nonzero()[0])
    reasons = ((outside, f"is outside (batch, label, start, end) of sizes {sizes.tolist()}"),
               (padded, "lies on padding"),
               (below, "has start > end, but the pairs are ordered"))  # fmt: skip
    reason = next(text for wrong, text in reasons if bool(wrong[first]))
    raise ValueError(f"positive (batch, label, start, end) = {tuple(positives[first].tolist())} {reason}")
