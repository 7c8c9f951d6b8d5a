"""Logistic noise: F(z) = 1 / (1 + exp(-z))."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from kexue.distributions.noise.law import Noise


@dataclass(frozen=True)
class Logistic(Noise):
    """The logistic law of mean 0; standard deviation pi / sqrt(3)."""

    symmetric: ClassVar[bool] = True
    strip: ClassVar[float] = math.pi

    def log_cdf_standard(self, z: Tensor) -> Tensor:
        """log sigmoid(z)."""
        return logsigmoid(z)

    def log_pdf_standard(self, z: Tensor) -> Tensor:
        """log sigmoid(z) + log sigmoid(-z)."""
        return logsigmoid(z) + logsigmoid(-z)

    def log_survival_standard(self, z: Tensor) -> Tensor:
        """log sigmoid(-z)."""
        return logsigmoid(-z)

    def icdf_standard(self, u: Tensor) -> Tensor:
        """log u - log(1 - u)."""
        return torch.logit(u)

    def sample_standard(
        self, shape: tuple[int, ...], generator: torch.Generator | None, dtype: torch.dtype, device: torch.device
    ) -> Tensor:
        """log(E1 / E2) of exponential draws: both tails as fine as floats."""
        one, other = (
            torch.empty((2, *shape), dtype=dtype, device=device).exponential_(generator=generator).log_().unbind()
        )
        return one - other
