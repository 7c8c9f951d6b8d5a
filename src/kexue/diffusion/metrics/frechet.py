"""The Frechet distance of two Gaussians fitted to features: FID where they are Inception's.

    d^2 = |m_1 - m_2|^2 + tr C_1 + tr C_2 - 2 tr (C_1^(1/2) C_2 C_1^(1/2))^(1/2)

Source: Heusel et al. 2017. The square roots are taken of symmetric matrices in float64, so no small imaginary part
has to be cut off, and covariances without full rank need nothing added to their diagonal.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch
from torch import Tensor

from kexue.errors import DataError, OptionError
from kexue.files import atomic_write


@dataclass(frozen=True, eq=False)
class Moments:
    """Mean [dim] and covariance [dim, dim] of features, float64, and of how many."""

    mean: Tensor
    covariance: Tensor
    count: int

    @classmethod
    def of(cls, features: Tensor) -> Moments:
        """From features [n, dim], n of at least 2; the covariance divides by n - 1."""
        if len(features) < 2:
            raise OptionError(f"a covariance needs at least 2 images, got {len(features)}")
        exact = features.double()
        centred = exact - exact.mean(0)
        return cls(exact.mean(0), centred.mT @ centred / (len(exact) - 1), len(exact))

    @cached_property
    def root(self) -> Tensor:
        """The square root of the covariance."""
        values, vectors = torch.linalg.eigh(self.covariance)
        root: Tensor = (vectors * values.clamp(min=0).sqrt()) @ vectors.mT
        return root

    def save(self, path: str | Path) -> None:
        """As an npz file with `mu` and `sigma`, the names that other FID programs use."""
        with atomic_write(path, binary=True) as file:
            np.savez_compressed(file, mu=self.mean.cpu(), sigma=self.covariance.cpu(), count=self.count)

    @classmethod
    def load(cls, path: str | Path) -> Moments:
        """From an npz file with `mu` and `sigma`; raises `DataError` for anything else."""
        try:
            with Path(path).open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                mean, covariance = (torch.from_numpy(arrays[key]).double() for key in ("mu", "sigma"))
                count = int(arrays["count"]) if "count" in arrays else 0
        except (OSError, ValueError, KeyError, BadZipFile) as error:
            raise DataError(f"is no npz file with mu and sigma: {error}", path=path) from error
        return cls(mean, covariance, count)


def frechet_distance(one: Moments, other: Moments) -> float:
    """The squared distance d^2, which is what FID reports; raises `OptionError` if the features differ in number."""
    if one.mean.shape != other.mean.shape:
        raise OptionError(f"features of {len(one.mean)} and of {len(other.mean)} numbers cannot be compared")
    overlap = torch.linalg.eigvalsh(one.root @ other.covariance @ one.root).clamp(min=0).sqrt().sum()
    spread = one.covariance.trace() + other.covariance.trace() - 2 * overlap
    return float((one.mean - other.mean).square().sum() + spread)
