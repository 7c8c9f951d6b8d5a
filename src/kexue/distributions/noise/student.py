"""Power tails: Student's t with any degrees of freedom, and Cauchy, which is t with one.

    S(t) = I_x(df/2, 1/2) / 2,   x = df / (df + t^2),   t >= 0

with the regularised incomplete beta function I from its continued fraction (Lentz's method; Press et al.,
Numerical Recipes, section 6.4), because torch has none.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from kexue.distributions.noise.law import Noise
from kexue.errors import OptionError


@dataclass(frozen=True)
class StudentT(Noise):
    """Student's t law with `df` > 0 degrees of freedom; a mean needs df > 1."""

    df: float = 3.0

    log_concave: ClassVar[bool] = False
    symmetric: ClassVar[bool] = True
    heavy_tailed: ClassVar[bool] = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (math.isfinite(self.df) and self.df > 0):
            raise OptionError(f"the degrees of freedom of StudentT are a positive finite number, not {self.df!r}")

    @property
    def strip(self) -> float:
        """The density is singular at +-i sqrt(df)."""
        return min(math.sqrt(self.df), 2.0)

    @property
    def has_mean(self) -> bool:
        """With more than one degree of freedom."""
        return self.df > 1

    def log_cdf_standard(self, z: Tensor) -> Tensor:
        """The tail on the left; log1p of minus the tail on the right."""
        tail = self._log_tail(z.abs())
        return torch.where(z < 0, tail, torch.log1p(-tail.exp()))

    def log_pdf_standard(self, z: Tensor) -> Tensor:
        """-(df + 1)/2 log(1 + z^2/df), normalised."""
        log_norm = math.lgamma((self.df + 1) / 2) - math.lgamma(self.df / 2) - math.log(self.df * math.pi) / 2
        return log_norm - (self.df + 1) / 2 * torch.log1p(z.square() / self.df)

    def log_survival_standard(self, z: Tensor) -> Tensor:
        """log F(-z)."""
        return self.log_cdf_standard(-z)

    def sample_standard(
        self, shape: tuple[int, ...], generator: torch.Generator | None, dtype: torch.dtype, device: torch.device
    ) -> Tensor:
        """A normal draw over the root of a chi-squared draw per degree of freedom."""
        normal = torch.randn(shape, generator=generator, dtype=dtype, device=device)
        shapes = torch.full(shape, self.df / 2, dtype=dtype, device=device)
        mean_square = torch._standard_gamma(shapes, generator=generator) / (self.df / 2)
        return normal * mean_square.clamp_(min=torch.finfo(dtype).tiny).rsqrt_()

    def _log_tail(self, t: Tensor) -> Tensor:
        """log S(t) for t >= 0, from whichever end the continued fraction converges fast."""
        a, b = self.df / 2, 0.5
        square = t.square()
        x, rest = 1 / (1 + square / self.df), 1 / (1 + self.df / square)
        turn = (a + 1) / (a + b + 2)
        direct = _log_incomplete_beta(x.clamp(max=turn), rest, a, b)
        complement = _log_incomplete_beta(rest.clamp(max=1 - turn), x, b, a)
        return torch.where(x < turn, direct, torch.log1p(-complement.exp())) - math.log(2)


@dataclass(frozen=True)
class Cauchy(Noise):
    """The Cauchy law of median 0; it has no mean, so E[max] is refused."""

    log_concave: ClassVar[bool] = False
    symmetric: ClassVar[bool] = True
    heavy_tailed: ClassVar[bool] = True

    @property
    def has_mean(self) -> bool:
        """Never."""
        return False

    def log_cdf_standard(self, z: Tensor) -> Tensor:
        """With arctan(1 / |z|) / pi as the tail."""
        tail = torch.atan2(torch.ones_like(z), z.abs()) / math.pi
        return torch.where(z < 0, tail.log(), torch.log1p(-tail))

    def log_pdf_standard(self, z: Tensor) -> Tensor:
        """-log(1 + z^2) - log pi."""
        return -torch.log1p(z.square()) - math.log(math.pi)

    def log_survival_standard(self, z: Tensor) -> Tensor:
        """log F(-z)."""
        return self.log_cdf_standard(-z)

    def icdf_standard(self, u: Tensor) -> Tensor:
        """-1 / tan(pi u), from the nearer end."""
        near = torch.where(u < 0.5, u, 1 - u)
        tail = torch.where(near < 0.25, 1 / torch.tan(math.pi * near), torch.tan(math.pi * (0.5 - near)))
        return torch.where(u < 0.5, -tail, tail)

    def sample_standard(
        self, shape: tuple[int, ...], generator: torch.Generator | None, dtype: torch.dtype, device: torch.device
    ) -> Tensor:
        """The ratio of two normal draws."""
        one, other = torch.randn((2, *shape), generator=generator, dtype=dtype, device=device).unbind()
        return one / other


def _log_incomplete_beta(x: Tensor, rest: Tensor, a: float, b: float) -> Tensor:
    """log I_x(a, b) for x <= (a + 1) / (a + b + 2), `rest` = 1 - x; -inf at x = 0."""
    log_beta = math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
    return a * x.log() + b * rest.log() - math.log(a) - log_beta + _beta_fraction(x, a, b).log()


def _beta_fraction(x: Tensor, a: float, b: float) -> Tensor:
    """The continued fraction 1 / (1 + d_1 / (1 + d_2 / ...)), evaluated forward."""
    c = torch.ones_like(x)
    d = 1 / (1 - (a + b) / (a + 1) * x)
    value = d
    for m in range(1, 24 + int(3 * math.sqrt(max(a, b)))):
        even = m * (b - m) / ((a + 2 * m - 1) * (a + 2 * m)) * x
        odd = -(a + m) * (a + b + m) / ((a + 2 * m) * (a + 2 * m + 1)) * x
        d = 1 / (1 + even * d)
        c = 1 + even / c
        value = value * d * c
        d = 1 / (1 + odd * d)
        c = 1 + odd / c
        value = value * d * c
    return value
