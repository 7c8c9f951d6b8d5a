"""Which pairs of tokens are classes: both ends kept, and start <= end where the pairs are ordered."""

from __future__ import annotations

import torch
from jaxtyping import Bool
from torch import Tensor


def pair_mask(mask: Bool[Tensor, "*batch seq"], *, ordered: bool = False) -> Bool[Tensor, "*batch seq seq"]:
    """True at (start, end) where both tokens are kept and, if `ordered`, start <= end."""
    pairs = mask.unsqueeze(-1) & mask.unsqueeze(-2)
    return pairs.triu() if ordered else pairs


def mask_pairs(scores: Tensor, mask: Bool[Tensor, "batch seq"], *, ordered: bool = False) -> Tensor:
    """Scores with -inf where the pair is no class.

    `scores` is float[batch, *heads, seq, seq]; the mask is the same for all heads of a text.
    """
    pairs = pair_mask(mask, ordered=ordered)
    for _ in range(scores.dim() - 3):
        pairs = pairs.unsqueeze(1)
    return scores.masked_fill(~pairs, -torch.inf)
