"""Bits per dimension: what a model says about data that are whole numbers.

    bits = -log2(probability) / d,    probability of a bin = density * width^d for values spread evenly over their bins

Noise that is uniform over the bin turns whole numbers into values with a density; the bits of that density, less those
of the width, bound the bits of the numbers from above (Uria et al. 2013; Theis et al. 2016).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from kexue.diffusion.schedules.variance_preserving import log1m_exp
from kexue.errors import OptionError


@dataclass(frozen=True)
class Bins:
    """The values low, low + width, ..., high that data can take; as given, 8-bit images within [-1, 1]."""

    width: float = 2 / 255
    low: float = -1.0
    high: float = 1.0

    def __post_init__(self) -> None:
        if not (self.width > 0 and self.low < self.high):
            raise OptionError(f"bins need width > 0 and low < high, got {self}")

    def dequantize(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """The values plus noise that is uniform within their bins."""
        device = x.device if generator is None else generator.device
        noise = torch.rand(x.shape, generator=generator, device=device, dtype=x.dtype).to(x.device)
        return x + self.width * (noise - 0.5)

    def log_prob(self, x: Tensor, mean: Tensor, std: Tensor) -> Tensor:
        """log of what N(mean, std^2) gives to the bin of each value; the first and the last bin have no outer end."""
        half = self.width / 2
        lower = torch.where(x < self.low + half, -torch.inf, (x - half - mean) / std)
        upper = torch.where(x > self.high - half, torch.inf, (x + half - mean) / std)
        return log_normal_between(lower, upper)


def log_normal_between(lower: Tensor, upper: Tensor) -> Tensor:
    """log(Phi(upper) - Phi(lower)), taken in the tail where it is small, so that it is exact there."""
    above = lower > 0
    lower, upper = torch.where(above, -upper, lower), torch.where(above, -lower, upper)
    larger: Tensor = torch.special.log_ndtr(upper)
    return larger + log1m_exp(torch.special.log_ndtr(lower) - larger)


def bits_per_dim(nats: Tensor, dim: int, bins: Bins | None = None) -> Tensor:
    """Nats of `dim` values together as bits per value; given bins, of a density as bits of their probability."""
    return nats / (dim * math.log(2)) - (0.0 if bins is None else math.log2(bins.width))
