"""EDM: alpha = 1, sigma(t) = sigma_max t^rho.

Equal steps of t between t_min and 1 are the grid of Karras et al. 2022, equal steps of sigma^(1/rho).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from kexue.diffusion.schedules.schedule import Schedule


@dataclass(frozen=True)
class EDM(Schedule):
    """Noise grows without shrinking the data; integration ends at `sigma_min`."""

    sigma_min: float = 0.002
    sigma_max: float = 80.0
    rho: float = 7.0

    def log_alpha(self, t: Tensor) -> Tensor:
        """0."""
        return torch.zeros_like(t, dtype=torch.float64)

    def log_sigma(self, t: Tensor) -> Tensor:
        """log sigma_max + rho log t."""
        return math.log(self.sigma_max) + self.rho * t.to(torch.float64).log()

    @property
    def t_min(self) -> float:
        """The time of sigma_min."""
        return float((self.sigma_min / self.sigma_max) ** (1 / self.rho))

    @property
    def t_first(self) -> float:
        """The time of sigma_min."""
        return self.t_min
