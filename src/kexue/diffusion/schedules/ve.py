"""Variance exploding: alpha = 1, sigma^2 = sigma_min^2 (r^(2t) - 1), r = sigma_max / sigma_min.

The marginal of dx = sigma_min r^t sqrt(2 log r) dw begun at the data (Song et al. 2021). Their code takes
sigma_min r^t for sigma, which begins with noise of sigma_min at t = 0; the equation is the same.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from kexue.diffusion.schedules.schedule import Schedule


@dataclass(frozen=True)
class VE(Schedule):
    """Noise grows geometrically, the data stay as they are."""

    sigma_min: float = 0.01
    sigma_max: float = 50.0

    def log_alpha(self, t: Tensor) -> Tensor:
        """0."""
        return torch.zeros_like(t, dtype=torch.float64)

    def log_sigma(self, t: Tensor) -> Tensor:
        """log sigma_min + log(r^(2t) - 1) / 2."""
        growth = 2 * t.to(torch.float64) * math.log(self.sigma_max / self.sigma_min)
        return math.log(self.sigma_min) + torch.expm1(growth).log() / 2
