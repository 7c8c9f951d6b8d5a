"""Gumbel noise: F(z) = exp(-exp(-z)), the one law under which the argmax has softmax probabilities.

Source: Yellott, J. Math. Psychology 15 (1977); Su, kexue.fm/archives/6705.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from kexue.distributions.noise.law import Noise


@dataclass(frozen=True)
class Gumbel(Noise):
    """The law of -log(E) for E of the exponential law: mean 0.5772, standard deviation pi / sqrt(6)."""

    strip: ClassVar[float] = math.pi / 2

    def log_cdf_standard(self, z: Tensor) -> Tensor:
        """-exp(-z)."""
        return -torch.exp(-z)

    def log_pdf_standard(self, z: Tensor) -> Tensor:
        """-z - exp(-z)."""
        return -z - torch.exp(-z)

    def log_survival_standard(self, z: Tensor) -> Tensor:
        """log(1 - exp(-exp(-z)))."""
        hazard = torch.exp(-z)
        return torch.where(z < 0, torch.log1p(-torch.exp(-hazard)), torch.log(-torch.expm1(-hazard)))

    def icdf_standard(self, u: Tensor) -> Tensor:
        """-log(-log u)."""
        return -torch.log(-torch.log(u))

    def sample_standard(
        self, shape: tuple[int, ...], generator: torch.Generator | None, dtype: torch.dtype, device: torch.device
    ) -> Tensor:
        """-log of exponential draws, whose smallest values are as fine as floats: no ties among many classes."""
        return -torch.empty(shape, dtype=dtype, device=device).exponential_(generator=generator).log_()
