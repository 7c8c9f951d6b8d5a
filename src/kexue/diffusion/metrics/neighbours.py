"""The nearest training images of generated ones, which show whether a generator repeats what it was trained on.

    memorised share = share of generated images nearer to the training set than all but 1 in 100 unseen real ones

A generator that learnt the law of the data comes as near to its training images as other real images do: about
0.01 of its images count. One that copies comes much nearer.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from kexue.errors import OptionError

BLOCK = 1024
COMMON = 0.01


class Neighbours(NamedTuple):
    """For each image, the places of the nearest ones long[n, k] and how far away they are float64[n, k]."""

    indices: Tensor
    distances: Tensor


def nearest_neighbours(features: Tensor, training: Tensor, k: int = 1) -> Neighbours:
    """The k nearest of `training` [m, dim] for each of `features` [n, dim], nearest first.

    Raises `OptionError` if there are fewer than k.
    """
    if len(training) < k:
        raise OptionError(f"{k} nearest of {len(training)} training images do not exist")
    found = [torch.cdist(block, training).topk(k, largest=False) for block in features.split(BLOCK)]
    return Neighbours(torch.cat([near.indices for near in found]), torch.cat([near.values for near in found]))


def memorised_share(features: Tensor, training: Tensor, held_out: Tensor) -> float:
    """The share of `features` nearer to `training` than the first percentile of `held_out` is."""
    usual = nearest_neighbours(held_out, training).distances[:, 0].quantile(COMMON)
    return float((nearest_neighbours(features, training).distances[:, 0] < usual).double().mean())
