"""Zero terminal SNR: alpha stretched so that nothing of the data is left at t = 1.

    alpha(t) = (a(t) - a(1)) / (1 - a(1)),   a the alpha of another schedule

Training then ends where sampling begins, at pure noise (Lin et al. 2024). There eps says nothing about x_0:
predict v or x_0.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from kexue.diffusion.schedules.linear import LinearVP
from kexue.diffusion.schedules.tabulated import log_alphas
from kexue.diffusion.schedules.variance_preserving import VariancePreserving

LINEAR = LinearVP()


@dataclass(frozen=True)
class ZeroTerminalSNR(VariancePreserving):
    """Another variance preserving schedule, stretched."""

    base: VariancePreserving = LINEAR

    def log_alpha(self, t: Tensor) -> Tensor:
        """log(1 - (1 - a) / (1 - a(1))), late log(a(1) (a / a(1) - 1) / (1 - a(1))): both lose no digits there."""
        now, end = self.base.log_alpha(t), self.base.log_alpha(torch.ones_like(t))
        whole = -torch.expm1(end)
        lost = -torch.expm1(now) / whole
        late = lost > 0.5
        left = torch.expm1(torch.where(late, now - end, 1.0))
        return torch.where(late, end + torch.log(left / whole), torch.log1p(-torch.where(late, 0.5, lost)))


def zero_terminal_betas(betas: Tensor) -> Tensor:
    """Betas of a chain stretched as Lin et al. do it, who keep alpha after the first step: float64[num_steps].

    The last is exactly 1.
    """
    alpha = log_alphas(betas)[1:].exp()
    stretched = (alpha - alpha[-1]) * (alpha[0] / (alpha[0] - alpha[-1]))
    return 1 - (stretched / torch.cat((torch.ones(1, dtype=torch.float64), stretched[:-1]))).square()
