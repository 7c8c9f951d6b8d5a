"""Cosine: alpha = cos(phi) / cos(phi_0), the angle phi growing evenly from phi_0 = pi/2 offset / (1 + offset).

Nichol and Dhariwal 2021. An angle of pi/2 would leave no signal; their 1000 steps end at alpha = 4.9e-5, because the
last beta is cut at 0.999. Here the angle itself ends where alpha is `last_alpha`, so nothing has to be cut.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from kexue.diffusion.schedules.variance_preserving import VariancePreserving


@dataclass(frozen=True)
class Cosine(VariancePreserving):
    """Signal is lost evenly; the offset keeps the first noise from being too faint."""

    offset: float = 0.008
    last_alpha: float = 5e-5

    def log_alpha(self, t: Tensor) -> Tensor:
        """log of cos(phi_0 + turn) / cos(phi_0) = 1 - 2 sin^2(turn/2) - tan(phi_0) sin(turn)."""
        first, whole = self._angles
        turn = t.to(torch.float64) * whole
        early = turn < 0.5
        near = torch.where(early, turn, 0.5)
        lost = 2 * torch.sin(near / 2).square() + math.tan(first) * torch.sin(near)
        return torch.where(early, torch.log1p(-lost), self._late(t))

    def _late(self, t: Tensor) -> Tensor:
        """The same, counted from the end: cos(phi) = sin(left), left the angle from there to pi/2."""
        first, whole = self._angles
        left = math.asin(self.last_alpha * math.cos(first)) + (1 - t.to(torch.float64)) * whole
        return torch.log(torch.sin(left) / math.cos(first))

    @property
    def _angles(self) -> tuple[float, float]:
        """phi_0, and how far phi goes from there."""
        first = math.pi / 2 * self.offset / (1 + self.offset)
        return first, math.pi / 2 - math.asin(self.last_alpha * math.cos(first)) - first
