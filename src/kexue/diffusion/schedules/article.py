"""The articles' own schedule, as a chain and in the limit of infinitely many steps.

    alpha_i / alpha_{i-1} = sqrt(1 - 0.02 i / T)        alpha(t) = exp(-5 t^2)

The second is T = 1000 with log(1 - x) = -x, and a linear beta from 0 to 20.
Source: Su, kexue.fm/archives/9119 and 9209 (2022).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from kexue.diffusion.schedules.tabulated import TabulatedVP
from kexue.diffusion.schedules.variance_preserving import VariancePreserving


@dataclass(frozen=True)
class ArticleSchedule(TabulatedVP):
    """The chain: beta_i = strength i / T in Ho's notation, beta_i^2 in the articles'."""

    num_steps: int = 1000
    strength: float = 0.02

    def table(self) -> Tensor:
        """strength i / T."""
        return self.strength * torch.arange(1, self.num_steps + 1, dtype=torch.float64) / self.num_steps


@dataclass(frozen=True)
class ArticleLimit(VariancePreserving):
    """alpha(t) = exp(-rate t^2)."""

    rate: float = 5.0

    def log_alpha(self, t: Tensor) -> Tensor:
        """-rate t^2."""
        return -self.rate * t.to(torch.float64).square()
