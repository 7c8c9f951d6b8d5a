"""Noise bounded on both sides, under which far classes have probability exactly 0.

Uniform      F(z) = z on [0, 1]
Triangular   F(z) = (1 + z)^2 / 2 on [-1, 0], 1 - (1 - z)^2 / 2 on [0, 1]
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from kexue.distributions.noise.law import LastPiece, Noise


@dataclass(frozen=True)
class Uniform(Noise):
    """The uniform law on [0, `scale`]; where it begins makes no difference to the argmax."""

    lower: ClassVar[float] = 0.0
    upper: ClassVar[float] = 1.0
    kinks: ClassVar[tuple[float, ...]] = (0.0, 1.0)
    symmetric: ClassVar[bool] = True

    @property
    def last_piece(self) -> LastPiece:
        """log z and 1 / z."""
        return LastPiece(torch.log, torch.reciprocal, singular=0.0, settled=0.5, far=1.0)

    def log_cdf_standard(self, z: Tensor) -> Tensor:
        """log z, clipped to [0, 1] first."""
        return z.clamp(0.0, 1.0).log()

    def log_pdf_standard(self, z: Tensor) -> Tensor:
        """0 on the support."""
        return torch.where((z < 0) | (z > 1), -torch.inf, torch.zeros_like(z))

    def log_survival_standard(self, z: Tensor) -> Tensor:
        """log(1 - z), clipped to [0, 1] first."""
        return (1 - z).clamp(0.0, 1.0).log()

    def icdf_standard(self, u: Tensor) -> Tensor:
        """u."""
        return u

    def sample_standard(
        self, shape: tuple[int, ...], generator: torch.Generator | None, dtype: torch.dtype, device: torch.device
    ) -> Tensor:
        """Torch's own uniform draws."""
        return torch.rand(shape, generator=generator, dtype=dtype, device=device)


@dataclass(frozen=True)
class Triangular(Noise):
    """The symmetric triangular law on [-`scale`, `scale`]: the sum of two uniform laws."""

    lower: ClassVar[float] = -1.0
    upper: ClassVar[float] = 1.0
    kinks: ClassVar[tuple[float, ...]] = (-1.0, 0.0, 1.0)
    symmetric: ClassVar[bool] = True

    @property
    def last_piece(self) -> LastPiece:
        """The parabola on the right, which is 0 at 1 - sqrt(2)."""
        return LastPiece(_log_right, _right_hazard, singular=1 - math.sqrt(2), settled=0.0, far=1.0)

    def log_cdf_standard(self, z: Tensor) -> Tensor:
        """Of the two parabolas, each taken from its own end of the support."""
        end = (1 - z.abs()).clamp(min=0.0)
        half = end.square() / 2
        return torch.where(z < 0, half.log(), torch.log1p(-half))

    def log_pdf_standard(self, z: Tensor) -> Tensor:
        """log(1 - |z|), -inf outside."""
        outside = z.abs() >= 1
        return torch.log1p(-torch.where(outside, 0.0, z).abs()).masked_fill(outside, -torch.inf)

    def log_survival_standard(self, z: Tensor) -> Tensor:
        """log F(-z)."""
        return self.log_cdf_standard(-z)

    def icdf_standard(self, u: Tensor) -> Tensor:
        """sqrt(2u) - 1 up to the median, 1 - sqrt(2(1 - u)) above."""
        return torch.where(u < 0.5, (2 * u).sqrt() - 1, 1 - (2 * (1 - u)).sqrt())

    def sample_standard(
        self, shape: tuple[int, ...], generator: torch.Generator | None, dtype: torch.dtype, device: torch.device
    ) -> Tensor:
        """The difference of two uniform draws."""
        one, other = torch.rand((2, *shape), generator=generator, dtype=dtype, device=device).unbind()
        return one - other


def _log_right(z: Tensor) -> Tensor:
    """log(1 - y^2 / 2), y = 1 - z; not continued to where it ends again, at y = -sqrt(2)."""
    return torch.log1p(_beyond(z).square_().mul_(-0.5))


def _right_hazard(z: Tensor) -> Tensor:
    """y / (1 - y^2 / 2)."""
    y = _beyond(z)
    return y / (1 - y.square() / 2)


def _beyond(z: Tensor) -> Tensor:
    """1 - z, down to -1/2."""
    return (1 - z).clamp_(min=-0.5)
