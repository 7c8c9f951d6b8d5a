"""Linear beta: alpha = exp(-B/2) with beta(t) = beta_min + t (beta_max - beta_min), B = integral of beta.

The limit of Ho's chain with betas from 1e-4 to 0.02 (Ho et al. 2020) as its 1000 steps become infinitely many
(Song et al. 2021).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from kexue.diffusion.schedules.variance_preserving import VariancePreserving


@dataclass(frozen=True)
class LinearVP(VariancePreserving):
    """dx = -beta/2 x dt + sqrt(beta) dw."""

    beta_min: float = 0.1
    beta_max: float = 20.0

    def log_alpha(self, t: Tensor) -> Tensor:
        """-B(t)/2."""
        return -integral_of_linear(t, self.beta_min, self.beta_max) / 2


def integral_of_linear(t: Tensor, first: float, last: float) -> Tensor:
    """The integral from 0 to t of first + s (last - first)."""
    t = t.to(torch.float64)
    return t * (first + t * ((last - first) / 2))
