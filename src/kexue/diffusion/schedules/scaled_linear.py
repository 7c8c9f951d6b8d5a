"""Scaled linear: sqrt(beta) is linear, beta(t) = (a + t (b - a))^2, a = sqrt(beta_min), b = sqrt(beta_max).

    B(t) = integral of beta = t (a^2 + a c t + c^2 t^2 / 3),   c = b - a

The continuous form of the schedule of latent diffusion (Rombach et al. 2022); its 1000 betas: `scaled_linear_betas`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from kexue.diffusion.schedules.variance_preserving import VariancePreserving


@dataclass(frozen=True)
class ScaledLinearVP(VariancePreserving):
    """Noise comes later than under a linear beta, as suits smooth latents."""

    beta_min: float = 0.85
    beta_max: float = 12.0

    def log_alpha(self, t: Tensor) -> Tensor:
        """-B(t)/2."""
        t = t.to(torch.float64)
        a = math.sqrt(self.beta_min)
        c = math.sqrt(self.beta_max) - a
        return -t * (a * a + t * (a * c + t * (c * c / 3))) / 2
