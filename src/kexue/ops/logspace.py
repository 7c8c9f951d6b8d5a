"""log(1 + sum of exp(x)): the one function that every form of the multi-label loss is made of.

With the shift m = max(0, max x) the sum never overflows, and written as m + log1p(sum exp(x - m) + expm1(-m))
it is exact to the last bits for tiny losses too, never negative, and has finite gradients for rows of -inf.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor


def log1p_sum_exp(x: Tensor, dim: int = -1) -> Tensor:
    """log(1 + sum of exp(x)) over a dimension, which may be empty; entries of -inf count nothing."""
    if x.shape[dim] == 0:
        return x.sum(dim)
    shift = x.detach().amax(dim, keepdim=True).clamp(min=0)
    # In place on the difference: a second buffer as large as the scores would double the memory of a loss.
    total = (x - shift).exp_().sum(dim)
    return _log1p_shifted(total, shift.squeeze(dim))


def segment_log1p_sum_exp(
    x: Float[Tensor, " n"], segments: Int[Tensor, " n"], num_segments: int
) -> tuple[Float[Tensor, " num_segments"], Float[Tensor, " n"]]:
    """log(1 + sum of exp(x)) over the entries of each segment, 0 for one without entries; and its gradient.

    The gradient is given because exp(x - value) would be blurred by the rounding of a large value.
    """
    shift = x.new_zeros(num_segments).scatter_reduce(0, segments, x, "amax")
    terms = (x - shift[segments]).exp()
    total = x.new_zeros(num_segments).index_add(0, segments, terms)
    return _log1p_shifted(total, shift), terms / (total + (-shift).exp())[segments]


def _log1p_shifted(total: Tensor, shift: Tensor) -> Tensor:
    """log(1 + e^shift total), given shift >= 0, and total >= 1 where shift > 0."""
    return shift + torch.log1p(total + torch.expm1(-shift))
