"""The kernel distance of two sets of features, without bias at any number of images: KID where they are Inception's.

    d^2 = mean_{i != j} k(x_i, x_j) + mean_{i != j} k(y_i, y_j) - 2 mean_{i, j} k(x_i, y_j)
    k(x, y) = (x . y / dim + 1)^3

Source: Binkowski et al. 2018. All images are used at once; the standard error is the jackknife's (each image left
out in turn), which needs no random subsets. Where the two laws are equal it is too large by about sqrt(2), never
too small.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from kexue.errors import OptionError

BLOCK = 2048


class KernelDistance(NamedTuple):
    """The squared distance, which may come out below 0, and its standard error."""

    value: float
    standard_error: float


def kernel_distance(features: Tensor, reference: Tensor) -> KernelDistance:
    """Of features [n, dim] and [m, dim], n and m of at least 3; raises `OptionError` for fewer."""
    n, m = len(features), len(reference)
    if min(n, m) < 3:
        raise OptionError(f"a kernel distance and its error need at least 3 images on each side, got {n} and {m}")
    x, y = features.double(), reference.double()
    within_x, within_y = _row_sums(x, x) - _kernel_diagonal(x), _row_sums(y, y) - _kernel_diagonal(y)
    across_x, across_y = _row_sums(x, y), _row_sums(y, x)
    mean_xx, mean_yy, mean_xy = within_x.sum() / (n * (n - 1)), within_y.sum() / (m * (m - 1)), across_x.sum() / (n * m)
    without_x = _without_each(within_x) - 2 * (across_x.sum() - across_x) / ((n - 1) * m)
    without_y = _without_each(within_y) - 2 * (across_y.sum() - across_y) / (n * (m - 1))
    variance = _jackknife(without_x) + _jackknife(without_y)
    return KernelDistance(float(mean_xx + mean_yy - 2 * mean_xy), math.sqrt(variance))


def _without_each(within: Tensor) -> Tensor:
    """The mean over pairs with each image left out in turn, given the sums of each image with the others."""
    n = len(within)
    return (within.sum() - 2 * within) / ((n - 1) * (n - 2))


def _jackknife(values: Tensor) -> float:
    n = len(values)
    return float((n - 1) / n * (values - values.mean()).square().sum())


def _kernel(x: Tensor, y: Tensor) -> Tensor:
    return (x @ y.mT / x.shape[1] + 1) ** 3


def _kernel_diagonal(x: Tensor) -> Tensor:
    return (x.square().mean(-1) + 1) ** 3


def _row_sums(x: Tensor, y: Tensor) -> Tensor:
    """The sum over y of k(x, y) for each x, in blocks that fit into memory."""
    return torch.cat([_kernel_sum(part, y) for part in x.split(BLOCK)])


def _kernel_sum(x: Tensor, y: Tensor) -> Tensor:
    return torch.stack([_kernel(x, part).sum(1) for part in y.split(BLOCK)]).sum(0)
