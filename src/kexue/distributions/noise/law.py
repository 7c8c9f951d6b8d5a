"""A noise law: eps = scale * z, with z of a standard law that is known by its log cdf F and log density f.

    h(z) = f(z) / F(z)        the reverse hazard: all that decides which class wins, given the largest value

A law implements the standard law (methods that end in `_standard`, of z = eps / scale) and declares its facts;
everything else is derived here. Logarithms are the primary quantities, because products over 50,000 classes
and tails down to exp(-700) have no other representation.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from kexue.errors import OptionError

BISECTIONS = 64
"""Halvings of a bracket down to its rounding."""
REACH = 350.0
"""Half-width of the bracket in asinh(z); the square of sinh(350) is still a float64."""


@dataclass(frozen=True)
class LastPiece:
    """log F and h = f / F as they are between the last two kinks of a law, continued beyond both.

    They are analytic from `singular` on; from `settled` on there is no kink but the upper end; from `far` on F is 1
    and h either 0 or exp(-z) times a constant, but for rounding.
    """

    log_cdf: Callable[[Tensor], Tensor]
    hazard: Callable[[Tensor], Tensor]
    singular: float
    settled: float
    far: float

    @property
    def room(self) -> float:
        """Between the two."""
        return self.settled - self.singular


@dataclass(frozen=True)
class Noise(ABC):
    """The law of independent noise; `scale` is in the units of the locations.

    Raises OptionError if the scale is not a positive finite number.
    """

    scale: float = 1.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.scale) and self.scale > 0):
            raise OptionError(f"the scale of a noise law is a positive finite number, not {self.scale!r}")

    @property
    def lower(self) -> float:
        """Where the support of the standard law begins."""
        return -math.inf

    @property
    def upper(self) -> float:
        """Where the support of the standard law ends."""
        return math.inf

    @property
    def kinks(self) -> tuple[float, ...]:
        """Where the standard density is not analytic, ends of the support included."""
        return ()

    @property
    def log_concave(self) -> bool:
        """Whether log f is concave; then log F is, and the reverse hazard decreases."""
        return True

    @property
    def symmetric(self) -> bool:
        """Whether the density is symmetric about the median."""
        return False

    @property
    def heavy_tailed(self) -> bool:
        """Whether a tail decays as a power."""
        return False

    @property
    def strip(self) -> float:
        """Distance of the real axis from the singularities of log F: how fast sums and interpolation converge."""
        return 1.0

    @property
    def last_piece(self) -> LastPiece | None:
        """By which a law with kinks takes very many classes; without it, it takes every pair of class and kink."""
        return None

    @property
    def bounded_below(self) -> bool:
        """Whether the noise has a smallest value."""
        return math.isfinite(self.lower)

    @property
    def bounded_above(self) -> bool:
        """Whether the noise has a largest value."""
        return math.isfinite(self.upper)

    @property
    def sparse(self) -> bool:
        """Whether probabilities can be exactly 0: bounded on both sides."""
        return self.bounded_below and self.bounded_above

    @property
    def has_mean(self) -> bool:
        """Whether E|eps| is finite, without which there is no E[max]."""
        return True

    @abstractmethod
    def log_cdf_standard(self, z: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """log F(z), right in relative terms in both tails; -inf below the support."""

    @abstractmethod
    def log_pdf_standard(self, z: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """log f(z), differentiable; -inf outside the support."""

    @abstractmethod
    def log_survival_standard(self, z: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """log(1 - F(z)), right in relative terms in both tails."""

    def icdf_standard(self, u: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """The z with F(z) = u; a law without a closed form is bisected."""
        return _bisect(self, u)

    def sample_standard(
        self, shape: tuple[int, ...], generator: torch.Generator | None, dtype: torch.dtype, device: torch.device
    ) -> Tensor:
        """Independent draws; a law with a finer way than its inverse cdf at a uniform number overrides this."""
        u = torch.rand(shape, generator=generator, dtype=dtype, device=device)
        return self.icdf_standard(u.clamp_(min=torch.finfo(dtype).tiny))

    def log_cdf(self, eps: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """log P(noise <= eps); differentiable."""
        return log_cdf_of(self, eps / self.scale)

    def cdf(self, eps: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """P(noise <= eps)."""
        return self.log_cdf(eps).exp()

    def log_survival(self, eps: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """log P(noise > eps); differentiable."""
        return log_survival_of(self, eps / self.scale)

    def log_pdf(self, eps: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """The log density at eps."""
        return self.log_pdf_standard(eps / self.scale) - math.log(self.scale)

    def pdf(self, eps: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """The density at eps."""
        return self.log_pdf(eps).exp()

    def log_reverse_hazard(self, eps: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """log(pdf / cdf), which decreases where log F is concave; -inf where the density is 0."""
        log_pdf, log_cdf = self.log_pdf(eps), self.log_cdf(eps)
        return torch.where(log_pdf == -torch.inf, log_pdf, log_pdf - log_cdf)

    def icdf(self, u: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """The eps with cdf(eps) = u, u in [0, 1]."""
        return self.scale * self.icdf_standard(u)

    def sample(
        self,
        shape: tuple[int, ...],
        generator: torch.Generator | None = None,
        dtype: torch.dtype | None = None,
        device: torch.device | str = "cpu",
    ) -> Tensor:
        """Independent draws of the given shape; half precision is drawn in float32 and then rounded."""
        dtype = dtype or torch.get_default_dtype()
        working = torch.promote_types(dtype, torch.float32)
        return (self.scale * self.sample_standard(tuple(shape), generator, working, torch.device(device))).to(dtype)


class _LogTail(torch.autograd.Function):
    """log F, or log(1 - F) of the `upper` tail, with derivative f over it: exact where that of the formula is 0 / 0."""

    @staticmethod
    def forward(z: Tensor, law: Noise, upper: bool) -> Tensor:
        return law.log_survival_standard(z) if upper else law.log_cdf_standard(z)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Noise, bool], output: Tensor) -> None:
        z, ctx.law, ctx.upper = inputs
        ctx.save_for_backward(z)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (z,) = ctx.saved_tensors
        log_pdf = ctx.law.log_pdf_standard(z)
        slope = (log_pdf - _log_tail(z, ctx.law, ctx.upper)).exp()
        return gradient * torch.where(log_pdf == -torch.inf, 0.0, -slope if ctx.upper else slope), None, None

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, None, None], z: Tensor, law: Noise, upper: bool) -> Any:
        return _log_tail(z, law, upper), in_dims[0]


def _log_tail(z: Tensor, law: Noise, upper: bool) -> Tensor:
    result: Tensor = _LogTail.apply(z, law, upper)  # type: ignore[no-untyped-call]
    return result


def log_cdf_of(law: Noise, z: Tensor) -> Tensor:
    """log F of the standard law, differentiable any number of times."""
    return _log_tail(z, law, upper=False)


def log_survival_of(law: Noise, z: Tensor) -> Tensor:
    """log(1 - F) of the standard law, differentiable any number of times."""
    return _log_tail(z, law, upper=True)


def _bisect(law: Noise, u: Tensor) -> Tensor:
    """By halving the bracket in asinh(z), which reaches every magnitude; the nearer tail decides."""
    target, upper = u.double(), u > 0.5
    low, high = torch.full_like(target, -REACH), torch.full_like(target, REACH)
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        z = torch.sinh(middle)
        above = torch.where(
            upper, law.log_survival_standard(z) < torch.log1p(-target), law.log_cdf_standard(z) > target.log()
        )
        low, high = torch.where(above, low, middle), torch.where(above, middle, high)
    return torch.sinh((low + high) / 2).clamp(law.lower, law.upper).to(u.dtype)
