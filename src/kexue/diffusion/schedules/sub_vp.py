"""Sub-VP: the drift of a linear beta with less noise, alpha = exp(-B/2), sigma = 1 - exp(-B) = 1 - alpha^2.

sigma is a standard deviation here, so the variance is below that of the variance preserving one (Song et al. 2021).
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from kexue.diffusion.schedules.linear import integral_of_linear
from kexue.diffusion.schedules.schedule import Schedule
from kexue.diffusion.schedules.variance_preserving import log1m_exp


@dataclass(frozen=True)
class SubVP(Schedule):
    """dx = -beta/2 x dt + sqrt(beta (1 - exp(-2B))) dw."""

    beta_min: float = 0.1
    beta_max: float = 20.0

    def log_alpha(self, t: Tensor) -> Tensor:
        """-B(t)/2."""
        return -integral_of_linear(t, self.beta_min, self.beta_max) / 2

    def log_sigma(self, t: Tensor) -> Tensor:
        """log(1 - exp(-B(t)))."""
        return log1m_exp(2 * self.log_alpha(t))
