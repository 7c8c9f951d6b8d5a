"""What a network says about x_t = alpha x_0 + sigma eps, and everything that follows from it.

    eps                                x_0 = (x_t - sigma eps) / alpha
    x0                                 eps = (x_t - alpha x_0) / sigma
    v = alpha eps - sigma x_0          x_0 = (alpha x_t - sigma v) / n,  eps = (sigma x_t + alpha v) / n
    score = -eps / sigma               x_0 = (x_t + sigma^2 score) / alpha                (Tweedie)

with n = alpha^2 + sigma^2. All are rows: a number times x_t plus a number times what the network said. A
`Parameterization` is two such rows; numbers may be floats or tensors, so a sampler can work its rows out once, in
float64, before the first step.
Sources: Ho et al. 2020; Salimans and Ho 2022 (v); Karras et al. 2022; Su, kexue.fm/archives/9152, 9164, 9209 (2022).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from kexue.errors import OptionError
from kexue.ops.precision import exact_dtype

Number = float | Tensor


class ValueRow(NamedTuple):
    """A row of x_t and the value: on_x_t * x_t + on_value * value."""

    on_x_t: Number
    on_value: Number


@dataclass(frozen=True, eq=False)
class Levels:
    """alpha and sigma of what was asked about, which broadcast against it and are best kept in float64.

    They are computed when first asked for: a sampler has numbers of its own, and never asks.
    """

    compute: Callable[[], tuple[Number, Number]]

    @classmethod
    def of(cls, alpha: Number, sigma: Number) -> Levels:
        """Those given."""
        return cls(lambda: (alpha, sigma))

    @cached_property
    def both(self) -> tuple[Number, Number]:
        """alpha and sigma."""
        return self.compute()


class Parameterization(ABC):
    """The meaning of a network's output `value`."""

    knows_data_in_noise: ClassVar[bool] = True
    """Whether its error in x_0 stays within bounds as alpha goes to 0; where not, it is the output's times 1/alpha."""

    @abstractmethod
    def x0_row(self, alpha: Number, sigma: Number) -> ValueRow:
        """x_0 from x_t and the value."""

    @abstractmethod
    def eps_row(self, alpha: Number, sigma: Number) -> ValueRow:
        """eps from x_t and the value."""

    @abstractmethod
    def weights(self, alpha: Number, sigma: Number) -> tuple[Number, Number]:
        """Of x_0 and of eps in the value, which is linear in both."""

    def network_input(self, x_t: Tensor, levels: Levels) -> Tensor:
        """What the network is given instead of x_t; x_t itself but for those that scale it."""
        return x_t

    def target(self, x0: Tensor, eps: Tensor, alpha: Number, sigma: Number) -> Tensor:
        """The value that is right for one x_0 and one eps: what a network is trained on."""
        return weighted(*self.weights(alpha, sigma), x0, eps)

    def row(self, alpha: Number, sigma: Number, x0_weight: Number, eps_weight: Number) -> ValueRow:
        """x0_weight * x_0 + eps_weight * eps as one row; any deterministic step is one."""
        if isinstance(x0_weight, float) and x0_weight == 0:
            return ValueRow(*(eps_weight * number for number in self.eps_row(alpha, sigma)))
        if isinstance(eps_weight, float) and eps_weight == 0:
            return ValueRow(*(x0_weight * number for number in self.x0_row(alpha, sigma)))
        x0, eps = self.x0_row(alpha, sigma), self.eps_row(alpha, sigma)
        return ValueRow(*(x0_weight * a + eps_weight * b for a, b in zip(x0, eps, strict=True)))


@dataclass(frozen=True)
class Eps(Parameterization):
    """The noise (Ho et al. 2020). Says nothing about x_0 where alpha is 0."""

    knows_data_in_noise: ClassVar[bool] = False

    def x0_row(self, alpha: Number, sigma: Number) -> ValueRow:
        """(x_t - sigma eps) / alpha."""
        _refuse_zero("alpha", alpha, "eps", "x0")
        return ValueRow(1 / alpha, -sigma / alpha)

    def eps_row(self, alpha: Number, sigma: Number) -> ValueRow:
        """The value itself."""
        return ValueRow(0.0, 1.0)

    def weights(self, alpha: Number, sigma: Number) -> tuple[Number, Number]:
        """0 and 1."""
        return 0.0, 1.0


@dataclass(frozen=True)
class X0(Parameterization):
    """The data. Says nothing about eps where sigma is 0."""

    def x0_row(self, alpha: Number, sigma: Number) -> ValueRow:
        """The value itself."""
        return ValueRow(0.0, 1.0)

    def eps_row(self, alpha: Number, sigma: Number) -> ValueRow:
        """(x_t - alpha x_0) / sigma."""
        _refuse_zero("sigma", sigma, "x0", "eps")
        return ValueRow(1 / sigma, -alpha / sigma)

    def weights(self, alpha: Number, sigma: Number) -> tuple[Number, Number]:
        """1 and 0."""
        return 1.0, 0.0


@dataclass(frozen=True)
class V(Parameterization):
    """v = alpha eps - sigma x_0 (Salimans and Ho 2022). Good at both ends."""

    def x0_row(self, alpha: Number, sigma: Number) -> ValueRow:
        """(alpha x_t - sigma v) / (alpha^2 + sigma^2)."""
        norm = alpha * alpha + sigma * sigma
        return ValueRow(alpha / norm, -sigma / norm)

    def eps_row(self, alpha: Number, sigma: Number) -> ValueRow:
        """(sigma x_t + alpha v) / (alpha^2 + sigma^2)."""
        norm = alpha * alpha + sigma * sigma
        return ValueRow(sigma / norm, alpha / norm)

    def weights(self, alpha: Number, sigma: Number) -> tuple[Number, Number]:
        """-sigma and alpha."""
        return -sigma, alpha


@dataclass(frozen=True)
class Score(Parameterization):
    """The gradient of log p_t (Song et al. 2021). Says nothing about x_0 where alpha is 0."""

    knows_data_in_noise: ClassVar[bool] = False

    def x0_row(self, alpha: Number, sigma: Number) -> ValueRow:
        """(x_t + sigma^2 score) / alpha."""
        _refuse_zero("alpha", alpha, "score", "x0")
        return ValueRow(1 / alpha, sigma * sigma / alpha)

    def eps_row(self, alpha: Number, sigma: Number) -> ValueRow:
        """-sigma score."""
        return ValueRow(0.0, -sigma)

    def weights(self, alpha: Number, sigma: Number) -> tuple[Number, Number]:
        """0 and -1 / sigma."""
        _refuse_zero("sigma", sigma, "eps", "score")
        return 0.0, -1 / sigma


@dataclass(frozen=True)
class Preconditioned(Parameterization):
    """The output F of a network whose input and target both have variance 1 at every time (Karras et al. 2022).

        x_0 = (alpha d^2 x_t + sigma d n F) / n^2,   n^2 = alpha^2 d^2 + sigma^2,   network input x_t / n

    with d the standard deviation of the data. Good at both ends, and what VE and EDM need, whose x_t grows to 80.
    For d = 1 under a variance preserving schedule F is -v.
    """

    data_std: float = 0.5

    def network_input(self, x_t: Tensor, levels: Levels) -> Tensor:
        """x_t / n."""
        return weighted(1 / self._norm(*levels.both), 0.0, x_t, x_t)

    def x0_row(self, alpha: Number, sigma: Number) -> ValueRow:
        """(alpha d^2 x_t + sigma d n F) / n^2."""
        d, norm = self.data_std, self._norm(alpha, sigma)
        return ValueRow(alpha * (d * d) / (norm * norm), sigma * d / norm)

    def eps_row(self, alpha: Number, sigma: Number) -> ValueRow:
        """(sigma x_t - alpha d n F) / n^2."""
        norm = self._norm(alpha, sigma)
        return ValueRow(sigma / (norm * norm), -alpha * self.data_std / norm)

    def weights(self, alpha: Number, sigma: Number) -> tuple[Number, Number]:
        """sigma / (d n) and -alpha d / n."""
        norm = self._norm(alpha, sigma)
        return sigma / (self.data_std * norm), -alpha * self.data_std / norm

    def _norm(self, alpha: Number, sigma: Number) -> Number:
        square: Number = alpha * alpha * (self.data_std * self.data_std) + sigma * sigma
        return square**0.5


EPS = Eps()  # the default everywhere

PARAMETERIZATIONS: dict[str, type[Parameterization]] = {
    "eps": Eps,
    "x0": X0,
    "v": V,
    "score": Score,
    "preconditioned": Preconditioned,
}


@dataclass(frozen=True, eq=False)
class Prediction:
    """What was said about x_t at `levels` of signal and noise.

    Every quantity is computed in float32 at least and has the dtype that x_t and the value promote to.
    Raises OptionError for a quantity that x_t and the value do not determine, as x_0 from eps where alpha is 0
    (checked where that costs nothing: for numbers and tensors in main memory).
    """

    value: Tensor
    x_t: Tensor
    levels: Levels
    parameterization: Parameterization

    @classmethod
    def from_eps(cls, value: Tensor, x_t: Tensor, alpha: Number, sigma: Number) -> Prediction:
        """From the predicted noise."""
        return cls(value, x_t, Levels.of(alpha, sigma), Eps())

    @classmethod
    def from_x0(cls, value: Tensor, x_t: Tensor, alpha: Number, sigma: Number) -> Prediction:
        """From the predicted data."""
        return cls(value, x_t, Levels.of(alpha, sigma), X0())

    @classmethod
    def from_v(cls, value: Tensor, x_t: Tensor, alpha: Number, sigma: Number) -> Prediction:
        """From v = alpha eps - sigma x_0."""
        return cls(value, x_t, Levels.of(alpha, sigma), V())

    @classmethod
    def from_score(cls, value: Tensor, x_t: Tensor, alpha: Number, sigma: Number) -> Prediction:
        """From the gradient of log p_t."""
        return cls(value, x_t, Levels.of(alpha, sigma), Score())

    @classmethod
    def from_article_eps(
        cls, value: Tensor, x_t: Tensor, alpha: Number, sigma: Number, step_sigma: Number
    ) -> Prediction:
        """From the noise as kexue.fm/archives/9119 and 9152 scale it: eps step_sigma / sigma.

        `step_sigma` is the deviation of the last step alone, the articles' beta_t (`Schedule.step_sigma`).
        """
        return cls.from_eps(weighted(0.0, sigma / step_sigma, x_t, value), x_t, alpha, sigma)

    @property
    def alpha(self) -> Number:
        """Of the data in x_t."""
        return self.levels.both[0]

    @property
    def sigma(self) -> Number:
        """Of the noise in x_t."""
        return self.levels.both[1]

    @property
    def x0(self) -> Tensor:
        """E[x_0 | x_t]."""
        return self._apply(self.parameterization.x0_row(self.alpha, self.sigma))

    @property
    def eps(self) -> Tensor:
        """E[eps | x_t]."""
        return self._apply(self.parameterization.eps_row(self.alpha, self.sigma))

    @property
    def v(self) -> Tensor:
        """alpha eps - sigma x_0."""
        return self.combine(*V().weights(self.alpha, self.sigma))

    @property
    def score(self) -> Tensor:
        """The gradient of log p_t at x_t."""
        return self.combine(*Score().weights(self.alpha, self.sigma))

    def article_eps(self, step_sigma: Number) -> Tensor:
        """eps step_sigma / sigma, see `from_article_eps`."""
        return self.combine(0.0, step_sigma / self.sigma)

    def combine(self, x0_weight: Number, eps_weight: Number) -> Tensor:
        """x0_weight * x_0 + eps_weight * eps, as one row."""
        return self._apply(self.parameterization.row(self.alpha, self.sigma, x0_weight, eps_weight))

    def _apply(self, row: ValueRow) -> Tensor:
        return weighted(*row, self.x_t, self.value)


Denoiser = Callable[[Tensor, Tensor], Prediction]
"""denoise(x_t, t) -> Prediction for x_t of shape [batch, ...] and t of shape [batch] in [0, 1].

One that has an attribute `parameterization` says beforehand what all its predictions are of.
"""


def announced(denoise: Denoiser) -> Parameterization | None:
    """What a denoiser says that its predictions are of, if it says so."""
    said: Parameterization | None = getattr(denoise, "parameterization", None)
    return said


def weighted(a: Number, b: Number, x: Tensor, y: Tensor) -> Tensor:
    """a x + b y, computed in float32 at least; a term whose number is the float 0 is not computed."""
    if isinstance(a, float) and isinstance(b, float) and (a, b) in ((0.0, 1.0), (1.0, 0.0)):
        return x if a else y
    exact = exact_dtype(x, y)
    terms = [_cast(c, exact) * z.to(exact) for c, z in ((a, x), (b, y)) if not (isinstance(c, float) and c == 0)]
    return sum(terms[1:], start=terms[0]).to(torch.promote_types(x.dtype, y.dtype))


def _cast(number: Number, dtype: torch.dtype) -> Number:
    return number.to(dtype) if isinstance(number, Tensor) else number


def _refuse_zero(name: str, number: Number, given: str, wanted: str) -> None:
    if isinstance(number, Tensor) and number.device.type != "cpu":
        return  # looking at it would make the host wait for the device
    if bool((number == 0).any() if isinstance(number, Tensor) else number == 0):
        raise OptionError(f"{wanted} does not follow from {given} where {name} is 0; predict v, or leave out that time")
