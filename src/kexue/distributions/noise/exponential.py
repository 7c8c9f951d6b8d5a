"""Exponential tails: E (bounded below), -E (bounded above), and E1 - E2 (Laplace).

    Exponential          F(z) = 1 - exp(-z), z >= 0     p_i = w_i int_0^1 prod_{j != i} (1 - w_j u) du, exact
    NegatedExponential   F(z) = exp(z), z <= 0          p from sorted locations, exact
    Laplace              F(z) = exp(z) / 2, z <= 0; 1 - exp(-z) / 2, z >= 0

Source: METHODS.md section 4.2; -E is the exponomial choice model (Alptekinoglu and Semple, 2016).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from kexue.distributions.noise.law import LastPiece, Noise


@dataclass(frozen=True)
class Exponential(Noise):
    """The exponential law on [0, inf): mean and standard deviation `scale`."""

    lower: ClassVar[float] = 0.0
    kinks: ClassVar[tuple[float, ...]] = (0.0,)

    def log_cdf_standard(self, z: Tensor) -> Tensor:
        """log(1 - exp(-z)), -inf for z <= 0."""
        return _log1mexp(z.clamp(min=0.0))

    def log_pdf_standard(self, z: Tensor) -> Tensor:
        """-z, -inf for z < 0."""
        return torch.where(z < 0, -torch.inf, -z)

    def log_survival_standard(self, z: Tensor) -> Tensor:
        """-z, 0 for z <= 0."""
        return -z.clamp(min=0.0)

    def icdf_standard(self, u: Tensor) -> Tensor:
        """-log(1 - u)."""
        return -torch.log1p(-u)

    def sample_standard(
        self, shape: tuple[int, ...], generator: torch.Generator | None, dtype: torch.dtype, device: torch.device
    ) -> Tensor:
        """Torch's own exponential draws."""
        return torch.empty(shape, dtype=dtype, device=device).exponential_(generator=generator)


@dataclass(frozen=True)
class NegatedExponential(Noise):
    """The law of -E on (-inf, 0]: mean -`scale`, standard deviation `scale`."""

    upper: ClassVar[float] = 0.0
    kinks: ClassVar[tuple[float, ...]] = (0.0,)

    def log_cdf_standard(self, z: Tensor) -> Tensor:
        """z, 0 for z >= 0."""
        return z.clamp(max=0.0)

    def log_pdf_standard(self, z: Tensor) -> Tensor:
        """z, -inf for z > 0."""
        return torch.where(z > 0, -torch.inf, z)

    def log_survival_standard(self, z: Tensor) -> Tensor:
        """log(1 - exp(z)), -inf for z >= 0."""
        return _log1mexp((-z).clamp(min=0.0))

    def icdf_standard(self, u: Tensor) -> Tensor:
        """log u."""
        return u.log()

    def sample_standard(
        self, shape: tuple[int, ...], generator: torch.Generator | None, dtype: torch.dtype, device: torch.device
    ) -> Tensor:
        """Torch's own exponential draws, negated."""
        return -torch.empty(shape, dtype=dtype, device=device).exponential_(generator=generator)


@dataclass(frozen=True)
class Laplace(Noise):
    """The Laplace law of mean 0; standard deviation sqrt(2) `scale`."""

    kinks: ClassVar[tuple[float, ...]] = (0.0,)
    symmetric: ClassVar[bool] = True

    @property
    def last_piece(self) -> LastPiece:
        """To the right of 0; it ends at -log 2."""
        return LastPiece(
            lambda z: torch.log1p(torch.exp(-z) / -2),
            lambda z: (2 * torch.exp(z) - 1).reciprocal_(),
            singular=-math.log(2),
            settled=0.0,
            far=45.0,
        )

    def log_cdf_standard(self, z: Tensor) -> Tensor:
        """z - log 2 to the left of 0, log(1 - exp(-z) / 2) to the right."""
        return z.clamp(max=0.0) + torch.log1p(torch.exp(-z.relu()) / -2)

    def log_pdf_standard(self, z: Tensor) -> Tensor:
        """-|z| - log 2."""
        return -z.abs() - math.log(2)

    def log_survival_standard(self, z: Tensor) -> Tensor:
        """log F(-z)."""
        return self.log_cdf_standard(-z)

    def icdf_standard(self, u: Tensor) -> Tensor:
        """log(2u) up to the median, -log(2(1 - u)) above."""
        return torch.where(u < 0.5, (2 * u).log(), -(2 * (1 - u)).log())

    def sample_standard(
        self, shape: tuple[int, ...], generator: torch.Generator | None, dtype: torch.dtype, device: torch.device
    ) -> Tensor:
        """The difference of two exponential draws."""
        one, other = torch.empty((2, *shape), dtype=dtype, device=device).exponential_(generator=generator).unbind()
        return one - other


def _log1mexp(z: Tensor) -> Tensor:
    """log(1 - exp(-z)) for z >= 0, without cancellation at either end."""
    return torch.where(z < math.log(2), torch.log(-torch.expm1(-z)), torch.log1p(-torch.exp(-z)))
