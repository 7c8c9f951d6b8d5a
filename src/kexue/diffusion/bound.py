"""The variational bound of a chain: DDPM as an autoregressive VAE, in bits per dimension, term by term.

    -log p(x_0) <= KL(x_1 | x_0 to the prior) + sum over steps of KL(x_s | x_t, x_0  to  model) - E log p(x_0 | first x)

The model's step is N(on_x_t x_t + on_x0 x_0(x_t), V): the posterior with x_0 replaced by its prediction. Each term
depends on one x_t only, so it is estimated from one draw of noise. Sources: Ho et al. 2020; Su,
kexue.fm/archives/9152 (the joint divergence of two chains, of which these are the terms) and 9164 (2022).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from kexue.diffusion.bits import Bins, bits_per_dim
from kexue.diffusion.likelihood import prior_divergence
from kexue.diffusion.prediction import Denoiser
from kexue.diffusion.randomness import drawing
from kexue.diffusion.schedules.schedule import Schedule
from kexue.errors import OptionError

ReverseVariance = Callable[[Schedule, Tensor, Tensor], Tensor]
"""variance(schedule, t, s) -> V of the model's step from t to s < t."""


def large_variance(schedule: Schedule, t: Tensor, s: Tensor) -> Tensor:
    """beta^2, what the step added: right for data N(0, 1); the articles' sigma_t = beta_t."""
    return schedule.step_sigma(t, s).square()


def small_variance(schedule: Schedule, t: Tensor, s: Tensor) -> Tensor:
    """The posterior's: right for data that are one point. 0 at the first step, where nothing then has a density."""
    return schedule.posterior(t, s).variance


@dataclass(frozen=True, eq=False)
class VariationalBound:
    """The terms in bits per dimension, float64.

    Attributes:
        prior: [batch], what the data leave in x_1.
        steps: [batch, num_steps - 1], the steps to t = 1/N, 2/N, ..., (N-1)/N.
        reconstruction: [batch], the step from t = 1/N to the data; below 0 where data have a density above 1.
        standard_error: [batch], of the total over the draws of noise; nan for one draw.
    """

    prior: Tensor
    steps: Tensor
    reconstruction: Tensor
    standard_error: Tensor

    @property
    def total(self) -> Tensor:
        """The bound on -log2 of the probability (the density where there are no bins), per value: [batch]."""
        return self.prior + self.steps.sum(1) + self.reconstruction


@torch.no_grad()
def variational_bound(
    denoise: Denoiser,
    schedule: Schedule,
    x0: Tensor,
    num_steps: int = 1000,
    *,
    variance: ReverseVariance = large_variance,
    bins: Bins | None = None,
    num_draws: int = 1,
    generator: torch.Generator | None = None,
) -> VariationalBound:
    """The bound for samples x0 of shape [batch, ...] under a chain of `num_steps` equal steps of t.

    Args:
        denoise: called num_steps * num_draws times.
        schedule: of the denoiser.
        x0: the data; whole numbers where there are bins, not dequantised.
        num_steps: of the chain.
        variance: of the model's steps.
        bins: where the data are whole numbers; their probability is bounded then, else their density.
        num_draws: of the noise, for each term; two at least give a standard error.
        generator: of the noise.

    Raises OptionError where a step has no variance.
    """
    _check(schedule, num_steps, num_draws, variance)
    draws = torch.stack([_draw(denoise, schedule, x0, num_steps, variance, bins, generator) for _ in range(num_draws)])
    mean, dim = draws.mean(0), x0[0].numel()
    error = (
        draws.sum(2).std(0, correction=1) / math.sqrt(num_draws)
        if num_draws > 1
        else torch.full_like(mean[:, 0], torch.nan)
    )
    prior = prior_divergence(schedule, x0)
    return VariationalBound(*(bits_per_dim(nats, dim) for nats in (prior, mean[:, 1:], mean[:, 0], error)))


def _draw(
    denoise: Denoiser,
    schedule: Schedule,
    x0: Tensor,
    num_steps: int,
    variance: ReverseVariance,
    bins: Bins | None,
    generator: torch.Generator | None,
) -> Tensor:
    """All terms but the prior's from one draw of noise each: [batch, num_steps], in nats."""
    times = torch.arange(num_steps + 1, dtype=torch.float64, device=x0.device) / num_steps
    terms, draw = [], drawing(generator)
    for index, (t, s) in enumerate(zip(times[1:], times[:-1], strict=True)):
        eps = draw(x0)
        missed, x0_hat = _missed(denoise, schedule, x0, eps, t)
        if index == 0:
            terms.append(-_log_prob(x0, x0_hat, variance(schedule, t, s), bins))
        else:
            terms.append(step_divergence(schedule, t, s, missed, variance(schedule, t, s), x0[0].numel()))
    return torch.stack(terms, dim=1)


def step_divergence(schedule: Schedule, t: Tensor, s: Tensor, missed: Tensor, variance: Tensor, dim: int) -> Tensor:
    """KL(x_s | x_t, x_0 to the model's step) in nats: [batch], given missed = |x_0 - x_0(x_t)|^2 of each sample."""
    true = schedule.posterior(t, s)
    ratio = true.variance / variance
    return (dim * (ratio - 1 - ratio.log()) + true.on_x0.square() / variance * missed) / 2


def _missed(denoise: Denoiser, schedule: Schedule, x0: Tensor, eps: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    """|x_0 - x_0(x_t)|^2 of each sample, and x_0(x_t)."""
    batch = t.expand(len(x0))
    x0_hat = denoise(schedule.add_noise(x0, eps, batch), batch.to(x0.dtype)).x0
    return (x0.double() - x0_hat.double()).flatten(1).square().sum(1), x0_hat


def _log_prob(x0: Tensor, mean: Tensor, variance: Tensor, bins: Bins | None) -> Tensor:
    """log of the probability, or of the density where there are no bins, of each sample under the last step."""
    x, mean = x0.double().flatten(1), mean.double().flatten(1)
    if bins is not None:
        return bins.log_prob(x, mean, variance.sqrt()).sum(1)
    return -((x - mean).square() / variance + (2 * math.pi * variance).log()).sum(1) / 2


def _check(schedule: Schedule, num_steps: int, num_draws: int, variance: ReverseVariance) -> None:
    if num_steps < 1 or num_draws < 1:
        raise OptionError(f"num_steps and num_draws have to be 1 at least, got {num_steps} and {num_draws}")
    first = torch.tensor([1 / num_steps, 0.0], dtype=torch.float64)
    if not float(variance(schedule, first[0], first[1])) > 0:
        raise OptionError(
            "the variance of the step to the data is 0, which gives nothing a density; use large_variance"
        )
