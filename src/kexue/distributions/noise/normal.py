"""Normal noise: F = Phi; the argmax has multinomial probit probabilities."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from kexue.distributions.noise.law import Noise

FAR = {torch.float32: 8.0, torch.float64: 24.0}
"""From where on the expansion is exact to rounding, and erfc has not yet underflowed."""
TERMS = 8
"""Of the expansion."""
LOG_SQRT_2PI = 0.5 * math.log(2 * math.pi)


@dataclass(frozen=True)
class Normal(Noise):
    """The normal law of mean 0 and standard deviation `scale`."""

    symmetric: ClassVar[bool] = True
    strip: ClassVar[float] = 2.5

    def log_cdf_standard(self, z: Tensor) -> Tensor:
        """log Phi(z) from the tail at -|z|: its erfc, or its expansion in 1/z^2 where erfc may underflow."""
        t = z.abs()
        tail = torch.erfc(t * math.sqrt(0.5)).mul_(0.5)
        result = torch.where(z < 0, tail.log(), torch.log1p(tail.neg_()))
        far = z < -FAR[z.dtype]
        needed = z.device.type != "cpu" or bool(far.any())  # a look at the values would stop another device
        return torch.where(far, _log_far_tail(t), result) if needed else result

    def log_pdf_standard(self, z: Tensor) -> Tensor:
        """-z^2/2 - log sqrt(2 pi)."""
        return -z.square() / 2 - LOG_SQRT_2PI

    def log_survival_standard(self, z: Tensor) -> Tensor:
        """log Phi(-z)."""
        return self.log_cdf_standard(-z)

    def icdf_standard(self, u: Tensor) -> Tensor:
        """The quantile function."""
        quantile: Tensor = torch.special.ndtri(u)
        return quantile

    def sample_standard(
        self, shape: tuple[int, ...], generator: torch.Generator | None, dtype: torch.dtype, device: torch.device
    ) -> Tensor:
        """Torch's own normal draws."""
        return torch.randn(shape, generator=generator, dtype=dtype, device=device)


def _log_far_tail(t: Tensor) -> Tensor:
    """log Phi(-t) = -t^2/2 + log((1 - 1/t^2 + 3/t^4 - 15/t^6 + ...) / (t sqrt(2 pi))), for large t."""
    t = t.clamp(min=1.0)
    square, one = t.square().reciprocal_(), torch.ones_like(t)
    series = one
    for k in range(TERMS, 0, -1):
        series = torch.addcmul(one, square, series, value=1 - 2 * k)
    return (series / t).log() - t.square() / 2 - LOG_SQRT_2PI
