"""One number per sample against samples of any shape: a[batch] -> a[batch, 1, ..., 1]."""

from __future__ import annotations

from torch import Tensor


def per_sample(values: Tensor, x: Tensor) -> Tensor:
    """`values` of shape [batch] or [], shaped so that they broadcast against `x` of shape [batch, ...]."""
    return values.reshape(values.shape + (1,) * (x.ndim - values.ndim)) if values.ndim else values


def mean_per_sample(x: Tensor) -> Tensor:
    """The mean over everything but the first dimension: [batch, ...] -> [batch]."""
    return x.flatten(1).mean(1)
