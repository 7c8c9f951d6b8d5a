"""A noise schedule: x_t = alpha(t) x_0 + sigma(t) eps for t in [0, 1], t = 0 data and t = 1 noise.

A schedule is its two logarithms; everything else follows (Su, kexue.fm/archives/9209, 2022; Kingma et al. 2021):

    log SNR = 2 (log alpha - log sigma)
    dx = f x dt + g dw,        f = d log alpha / dt,        g^2 = -sigma^2 d log SNR / dt
    x_t | x_s:                 alpha_t / alpha_s,           beta^2 = sigma_t^2 (1 - exp(log SNR_t - log SNR_s))

In logarithms and with expm1 no difference of nearly equal numbers is ever taken, so nothing is lost at either end.
Every result is float64, whatever the precision of t: cast last.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from kexue.diffusion.shapes import per_sample
from kexue.errors import OptionError
from kexue.ops.precision import exact_dtype

FIRST_TIME = 1e-30  # rates are taken here instead of at t = 0, where they are the limit of 0 times infinity
LAST_TIME = 1 - 1e-12  # and here instead of at t = 1, where alpha may be 0
ROUNDING = 1e-3  # of a step: a time in float32 may be off by that much at most
CHECKED_TIMES = 17
BISECTIONS = 64  # halves of [0, 1], down to less than the spacing of float64 at 1


class Posterior(NamedTuple):
    """x_s given x_t and x_0, s < t: Normal(on_x_t x_t + on_x0 x_0, variance)."""

    on_x_t: Tensor
    on_x0: Tensor
    variance: Tensor


@dataclass(frozen=True)
class Schedule(ABC):
    """alpha and sigma over time. Times are float tensors of any shape, results float64 of the same shape.

    Raises OptionError where the parameters make the signal-to-noise ratio rise, or no numbers at all.
    """

    def __post_init__(self) -> None:
        t = torch.linspace(0, 1, CHECKED_TIMES, dtype=torch.float64)
        falling = self.log_snr(t).diff() < 0
        if not bool(falling.all()):
            first = float(t[1:][~falling][0])
            raise OptionError(f"{self}: the signal-to-noise ratio has to fall all the way; it does not at t={first:g}")

    @abstractmethod
    def log_alpha(self, t: Tensor) -> Tensor:
        """log alpha(t), precise to the last bits for small t too; 0 at t = 0, -inf where alpha is 0."""

    @abstractmethod
    def log_sigma(self, t: Tensor) -> Tensor:
        """log sigma(t), precise to the last bits; -inf where sigma is 0."""

    def alpha(self, t: Tensor) -> Tensor:
        """The factor of the data; the articles' alpha-bar, Ho's square root of it."""
        return self.log_alpha(t).exp()

    def sigma(self, t: Tensor) -> Tensor:
        """The standard deviation of the noise; the articles' beta-bar."""
        return self.log_sigma(t).exp()

    def log_snr(self, t: Tensor) -> Tensor:
        """log(alpha^2 / sigma^2), strictly falling; infinite where sigma or alpha is 0."""
        return 2 * (self.log_alpha(t) - self.log_sigma(t))

    def drift(self, t: Tensor) -> Tensor:
        """f(t) = d log alpha / dt of dx = f x dt + g dw; -inf where alpha reaches 0."""
        return torch.where(self.alpha(t) == 0, -torch.inf, _rate(self.log_alpha, t))

    def diffusion(self, t: Tensor) -> Tensor:
        """g(t) of dx = f x dt + g dw; inf where alpha reaches 0."""
        g = torch.sqrt(-_rate(self.log_snr, t)) * self.sigma(_double(t).clamp(min=FIRST_TIME))
        return torch.where(self.alpha(t) == 0, torch.inf, g)

    def rates(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """alpha' and sigma': the probability flow is dx/dt = alpha' x_0 + sigma' eps, finite at t = 1 too."""
        t = _double(t).clamp(FIRST_TIME, LAST_TIME)
        return self.alpha(t) * _rate(self.log_alpha, t), self.sigma(t) * _rate(self.log_sigma, t)

    def step_alpha(self, t: Tensor, s: Tensor) -> Tensor:
        """alpha_t / alpha_s, the factor of x_s in x_t, s < t; the articles' alpha_t where s is the step before."""
        return (self.log_alpha(t) - self.log_alpha(s)).exp()

    def step_sigma(self, t: Tensor, s: Tensor) -> Tensor:
        """The standard deviation of x_t given x_s, s < t; the articles' beta_t where s is the step before."""
        return self.sigma(t) * self.fresh_share(t, s).sqrt()

    def fresh_share(self, t: Tensor, s: Tensor) -> Tensor:
        """The share of the noise variance at t that came after s: beta^2 / sigma_t^2 = 1 - SNR_t / SNR_s."""
        return -torch.expm1(self.log_snr(t) - self.log_snr(s))

    def posterior(self, t: Tensor, s: Tensor) -> Posterior:
        """x_s given x_t and x_0, s < t (Su, kexue.fm/archives/9164, 2022)."""
        fresh = self.fresh_share(t, s)
        log_kept = self.log_alpha(t) - self.log_alpha(s) + 2 * (self.log_sigma(s) - self.log_sigma(t))
        return Posterior(log_kept.exp(), self.alpha(s) * fresh, self.sigma(s).square() * fresh)

    def discrete_betas(self, num_steps: int) -> Tensor:
        """The variances [num_steps] of the chain at t = 1/N, 2/N, ..., 1: Ho's beta_i, the articles' beta_i^2."""
        t = torch.arange(num_steps + 1, dtype=torch.float64) / num_steps
        return self.step_sigma(t[1:], t[:-1]).square()

    def time_of_log_snr(self, value: Tensor) -> Tensor:
        """The t with log_snr(t) = value; 0 or 1 for a value that is never reached."""
        value = _double(value)
        low, high = torch.zeros_like(value), torch.ones_like(value)
        for _ in range(BISECTIONS):
            middle = (low + high) / 2
            early = self.log_snr(middle) > value
            low, high = torch.where(early, middle, low), torch.where(early, high, middle)
        return torch.where(self.log_snr(high) >= value, high, low)

    def add_noise(self, x0: Tensor, eps: Tensor, t: Tensor) -> Tensor:
        """alpha(t) x0 + sigma(t) eps for t of shape [batch], added in float32 at least, in the dtype of `x0`."""
        exact = exact_dtype(x0, eps)
        alpha, sigma = (per_sample(c.to(exact), x0) for c in (self.alpha(t), self.sigma(t)))
        return torch.addcmul(alpha * x0, sigma, eps.to(exact)).to(x0.dtype)

    @property
    def prior_std(self) -> float:
        """sigma(1), the standard deviation of the noise that sampling starts from."""
        return float(self.sigma(torch.ones((), dtype=torch.float64)))

    @property
    def t_min(self) -> float:
        """Where sampling ends by default, as the score is infinite at t = 0."""
        return 1e-3

    @property
    def t_first(self) -> float:
        """The first time that training draws, and from which a likelihood is integrated."""
        return min(1e-5, self.t_min)


def step_before(t: Tensor, num_steps: int) -> Tensor:
    """t - 1 / num_steps in float64, exactly 0 for the first step however t was rounded."""
    s = _double(t) - 1 / num_steps
    return torch.where(s < ROUNDING / num_steps, 0.0, s)


def _double(t: Tensor) -> Tensor:
    return t.to(torch.float64)


def _rate(function: Callable[[Tensor], Tensor], t: Tensor) -> Tensor:
    """d function / dt, one time at a time; by backward differentiation, as forward takes seconds to be imported."""
    with torch.inference_mode(False), torch.enable_grad():
        t = _double(t).detach().clamp(min=FIRST_TIME).clone().requires_grad_()
        (rate,) = torch.autograd.grad((function(t) + 0 * t).sum(), t)  # 0 t: a constant has a rate too
    return rate
