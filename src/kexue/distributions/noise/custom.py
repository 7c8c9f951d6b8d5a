"""A noise law from a user's own cdf and density."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from kexue.distributions.noise.law import Noise
from kexue.errors import OptionError


@dataclass(frozen=True)
class CustomNoise(Noise):
    """The law with the given cdf and pdf, functions of a float64 tensor of any shape, elementwise.

    They describe the standard law; `scale` stretches it. The facts have to be true of it: `support` its ends,
    `kink_points` where the density is not analytic (ends are added by themselves), `power_tailed` whether a
    tail decays as a power, `width` how close to the real axis log cdf may be singular (half the scale on which
    the density changes is a safe guess). Tails are as good as the functions: give `log_cdf_function` and
    `log_pdf_function` too where log probabilities below about -30 matter.
    """

    cdf_function: Callable[[Tensor], Tensor] | None = None
    pdf_function: Callable[[Tensor], Tensor] | None = None
    log_cdf_function: Callable[[Tensor], Tensor] | None = None
    log_pdf_function: Callable[[Tensor], Tensor] | None = None
    support: tuple[float, float] = (-math.inf, math.inf)
    kink_points: tuple[float, ...] = ()
    power_tailed: bool = False
    width: float = 1.0
    mean_exists: bool = True

    log_concave: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.cdf_function is None or self.pdf_function is None:
            raise OptionError("CustomNoise needs cdf_function and pdf_function, both functions of a tensor")
        if not self.support[0] < self.support[1]:
            raise OptionError(f"the support of CustomNoise is (lower, upper) with lower < upper, not {self.support!r}")
        if not self.width > 0:
            raise OptionError(f"the width of CustomNoise is positive, not {self.width!r}")

    @property
    def lower(self) -> float:
        """As given."""
        return self.support[0]

    @property
    def upper(self) -> float:
        """As given."""
        return self.support[1]

    @property
    def kinks(self) -> tuple[float, ...]:
        """As given, with the finite ends of the support."""
        return tuple(sorted({*self.kink_points, *filter(math.isfinite, self.support)}))

    @property
    def heavy_tailed(self) -> bool:
        """As given."""
        return self.power_tailed

    @property
    def strip(self) -> float:
        """As given."""
        return self.width

    @property
    def has_mean(self) -> bool:
        """As given."""
        return self.mean_exists

    def log_cdf_standard(self, z: Tensor) -> Tensor:
        """From `log_cdf_function`, or the logarithm of the cdf."""
        return self.log_cdf_function(z) if self.log_cdf_function else self._cdf(z).log()

    def log_pdf_standard(self, z: Tensor) -> Tensor:
        """From `log_pdf_function`, or the logarithm of the density."""
        if self.log_pdf_function:
            return self.log_pdf_function(z)
        assert self.pdf_function is not None
        return self.pdf_function(z).log()

    def log_survival_standard(self, z: Tensor) -> Tensor:
        """log(1 - cdf)."""
        return torch.log1p(-self._cdf(z))

    def _cdf(self, z: Tensor) -> Tensor:
        assert self.cdf_function is not None
        return self.cdf_function(z)
