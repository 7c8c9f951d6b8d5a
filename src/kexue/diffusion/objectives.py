"""What a denoiser is trained on: a weight times the squared distance of a prediction to what is right.

    loss(t) = weight(t) |of(x_0, eps) - of(prediction)|^2 / d

`of` is the quantity that is compared. A network's error in one is a number times its error in any other, so the loss
is computed from what the network says, whatever that is, without going through a quotient that could blow up.
Sources: Ho et al. 2020; Song et al. 2021; Hang et al. 2023; Su, kexue.fm/archives/9152, 9164, 9209 (2022).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from kexue.diffusion.prediction import EPS, X0, Denoiser, Parameterization
from kexue.diffusion.schedules.schedule import Schedule, step_before
from kexue.diffusion.shapes import mean_per_sample, per_sample
from kexue.ops.precision import exact_dtype


class Objective(ABC):
    """How much each time counts, and for the error of what."""

    @property
    @abstractmethod
    def of(self) -> Parameterization:
        """The quantity that is compared."""

    @abstractmethod
    def weight(self, schedule: Schedule, t: Tensor) -> Tensor:
        """The factor of its squared error at times t: float64 of t's shape."""


@dataclass(frozen=True)
class Simple(Objective):
    """1. Of eps the simple loss of Ho et al. 2020; of x0 the denoising loss of kexue.fm/archives/9164."""

    of: Parameterization = EPS

    def weight(self, schedule: Schedule, t: Tensor) -> Tensor:
        """1."""
        return torch.ones_like(t, dtype=torch.float64)


@dataclass(frozen=True)
class ELBO(Objective):
    """num_steps alpha_s^2 (1 - SNR_t / SNR_s) / (2 sigma_t^2), s the step before: a step's term of the bound, in nats.

    With the variance beta^2 of the reverse step. Of eps it is num_steps beta^2 / (2 alpha^2 sigma_t^2) with the step's
    alpha and beta (kexue.fm/archives/9152; Ho et al. 2020, equation 12). d times the mean over the steps is their sum.
    """

    num_steps: int = 1000

    @property
    def of(self) -> Parameterization:
        """x_0."""
        return X0()

    def weight(self, schedule: Schedule, t: Tensor) -> Tensor:
        """The weight; a step that would begin before t = 0 begins there."""
        s = step_before(t, self.num_steps)
        signal = (schedule.alpha(s) / schedule.sigma(t)).square()
        return self.num_steps * signal * schedule.fresh_share(t, s) / 2


@dataclass(frozen=True)
class LikelihoodWeighted(Objective):
    """-d SNR / dt, which is g^2 of the score: half of this loss bounds the negative log-likelihood.

    Song et al. 2021 (Maximum likelihood training); Kingma et al. 2021.
    """

    @property
    def of(self) -> Parameterization:
        """x_0."""
        return X0()

    def weight(self, schedule: Schedule, t: Tensor) -> Tensor:
        """2 (alpha^2 sigma' - alpha alpha' sigma) / sigma^3."""
        alpha, sigma = schedule.alpha(t), schedule.sigma(t)
        alpha_rate, sigma_rate = schedule.rates(t)
        return 2 * alpha * (alpha * sigma_rate - alpha_rate * sigma) / sigma**3


@dataclass(frozen=True)
class MinSNR(Objective):
    """min(SNR, gamma): late times keep their weight, early times do not take over (Hang et al. 2023)."""

    gamma: float = 5.0

    @property
    def of(self) -> Parameterization:
        """x_0."""
        return X0()

    def weight(self, schedule: Schedule, t: Tensor) -> Tensor:
        """min(SNR, gamma)."""
        return schedule.log_snr(t).exp().clamp(max=self.gamma)


@dataclass(frozen=True)
class LastStep(Objective):
    """beta^2 / sigma_t^2: predict the noise of the last step, of which only that share of eps is known from x_t.

    What remains of `unreduced_loss` once the noise that the network cannot know is integrated out; both have the same
    gradient in the mean, this one varies far less (kexue.fm/archives/9119 and 9152).
    """

    num_steps: int = 1000

    @property
    def of(self) -> Parameterization:
        """eps."""
        return EPS

    def weight(self, schedule: Schedule, t: Tensor) -> Tensor:
        """beta^2 / sigma_t^2."""
        return schedule.fresh_share(t, step_before(t, self.num_steps))


OBJECTIVES: dict[str, type[Objective]] = {
    "simple": Simple,
    "elbo": ELBO,
    "likelihood_weighted": LikelihoodWeighted,
    "min_snr": MinSNR,
    "last_step": LastStep,
}


def training_loss(
    denoise: Denoiser, schedule: Schedule, objective: Objective, x0: Tensor, t: Tensor, eps: Tensor
) -> Tensor:
    """The loss [batch] of each sample, a mean over its values, at times t [batch] with the noise `eps`.

    The denoiser is given x_t = alpha(t) x0 + sigma(t) eps in the dtype of `x0`; the loss is float32 at least.
    """
    x_t = schedule.add_noise(x0, eps, t)
    said = denoise(x_t, t)
    alpha, sigma = (per_sample(c, x_t) for c in (schedule.alpha(t), schedule.sigma(t)))
    error = said.value.to(exact_dtype(said.value)) - said.parameterization.target(x0, eps, alpha, sigma)
    scale = error_ratio(said.parameterization, objective.of, schedule.alpha(t), schedule.sigma(t))
    weight = objective.weight(schedule, t) * scale * scale
    return weight.to(error.dtype) * mean_per_sample(error.square())


def unreduced_loss(
    denoise: Denoiser, schedule: Schedule, num_steps: int, x0: Tensor, t: Tensor, eps_before: Tensor, eps_step: Tensor
) -> Tensor:
    """|eps_step - (beta / sigma_t) eps_hat|^2 / d: [batch], x_t made of x_s, s one step before, and a noise of its own.

        x_t = (alpha_t / alpha_s) (alpha_s x_0 + sigma_s eps_before) + beta eps_step

    In the mean it is `LastStep`'s loss plus `unreduced_excess`. The two noises are independent draws.
    """
    s = step_before(t, num_steps)
    a, beta = (per_sample(c.to(exact_dtype(x0)), x0) for c in (schedule.step_alpha(t, s), schedule.step_sigma(t, s)))
    x_t = a * schedule.add_noise(x0, eps_before, s) + beta * eps_step
    said = denoise(x_t.to(x0.dtype), t).article_eps(per_sample(schedule.step_sigma(t, s), x0))
    return mean_per_sample((eps_step - said).square())


def unreduced_excess(schedule: Schedule, num_steps: int, t: Tensor) -> Tensor:
    """By how much the mean of `unreduced_loss` is above that of `LastStep`: the share of earlier noise in sigma_t^2."""
    return 1 - schedule.fresh_share(t, step_before(t, num_steps))


def error_ratio(said: Parameterization, of: Parameterization, alpha: Tensor, sigma: Tensor) -> Tensor | float:
    """How much larger the error of one quantity is than the error of what a network says."""
    return 1.0 if said == of else said.row(alpha, sigma, *of.weights(alpha, sigma)).on_value
