"""Variance preserving schedules: alpha^2 + sigma^2 = 1, so that unit Gaussian data stay what they are.

    log sigma = log(1 - exp(2 log alpha)) / 2

Source: Su, kexue.fm/archives/9119 (2022); Ho et al. 2020; Song et al. 2021.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from kexue.diffusion.schedules.schedule import Schedule


@dataclass(frozen=True)
class VariancePreserving(Schedule):
    """A schedule of which alpha alone is given."""

    @abstractmethod
    def log_alpha(self, t: Tensor) -> Tensor:
        """log alpha(t)."""

    def log_sigma(self, t: Tensor) -> Tensor:
        """log sqrt(1 - alpha^2)."""
        return log1m_exp(2 * self.log_alpha(t)) / 2


def log1m_exp(x: Tensor) -> Tensor:
    """log(1 - exp(x)) for x <= 0, to the last bits at both ends (Maechler 2012)."""
    near_zero = x > -math.log(2)
    return torch.where(
        near_zero,
        torch.log(-torch.expm1(torch.where(near_zero, x, -1.0))),
        torch.log1p(-torch.exp(torch.where(near_zero, -1.0, x))),
    )
