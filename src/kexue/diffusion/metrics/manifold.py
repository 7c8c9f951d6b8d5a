"""Precision and recall of images: the share of each set that lies within the other's k-nearest-neighbour balls.

    precision = share of generated images inside some real image's ball; recall = the other way round
    radius of an image = distance to its k-th nearest neighbour in its own set

Source: Kynkaanniemi et al. 2019 (k = 3). High precision with low recall is a generator that shows few things well.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from kexue.errors import OptionError

BLOCK = 1024


class PrecisionRecall(NamedTuple):
    """Two shares, from 0 to 1."""

    precision: float
    recall: float


def precision_recall(features: Tensor, reference: Tensor, k: int = 3) -> PrecisionRecall:
    """Of generated features [n, dim] against real ones [m, dim]; raises `OptionError` unless n and m exceed k."""
    if min(len(features), len(reference)) <= k:
        raise OptionError(f"k = {k} neighbours need more than {k} images, got {len(features)} and {len(reference)}")
    return PrecisionRecall(_share_inside(features, reference, k), _share_inside(reference, features, k))


def _share_inside(points: Tensor, centres: Tensor, k: int) -> float:
    radii = _radii(centres, k)
    inside = [(torch.cdist(block, centres) <= radii).any(1) for block in points.split(BLOCK)]
    return float(torch.cat(inside).double().mean())


def _radii(centres: Tensor, k: int) -> Tensor:
    """The distance of each point to its k-th nearest other one: the point itself is the first of k + 1."""
    return torch.cat([torch.cdist(block, centres).kthvalue(k + 1, dim=1).values for block in centres.split(BLOCK)])
