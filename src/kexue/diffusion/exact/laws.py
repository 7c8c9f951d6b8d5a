"""The exact law that a sampler gives Gaussian data: its own steps, run on coefficients in place of samples.

On data N(0, v) the exact answer is linear in x, so x_0 is a sum of the first noise and of every later one, each with a
coefficient. A batch of those coefficients goes through the sampler as if they were samples.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from kexue.diffusion.exact.data import at, f64
from kexue.diffusion.prediction import Denoiser, Prediction
from kexue.diffusion.samplers import Sampler, State
from kexue.diffusion.schedules import Schedule
from kexue.diffusion.shapes import per_sample


def marginal(schedule: Schedule, t: float, variance: float) -> float:
    """Var x_t."""
    alpha, sigma = at(schedule, t)
    return alpha**2 * variance + sigma**2


def answer(schedule: Schedule, variance: float | Tensor, mean: float = 0.0) -> Denoiser:
    """The exact denoiser of N(mean, variance), by x_0, so that it also knows what to say where alpha is 0."""

    def denoise(x_t: Tensor, t: Tensor) -> Prediction:
        alpha, sigma = (per_sample(c, x_t) for c in (schedule.alpha(t), schedule.sigma(t)))
        gain = (alpha * variance / (alpha**2 * variance + sigma**2)).to(x_t.dtype)
        return Prediction.from_x0(mean + gain * (x_t - alpha.to(x_t.dtype) * mean), x_t, alpha, sigma)

    return denoise


def variance_of(
    sampler: Sampler,
    schedule: Schedule,
    times: Tensor,
    variance: float,
    *,
    start: float | None = None,
    last_noise: bool = False,
) -> float:
    """The variance at the last of `times`, begun at N(0, start), `prior_std`^2 where left out."""
    first = None if start is None else f64([start])
    return float(variances_of(sampler, schedule, times, f64([variance]), start=first, last_noise=last_noise))


def variances_of(
    sampler: Sampler,
    schedule: Schedule,
    times: Tensor,
    variances: Tensor,
    *,
    start: Tensor | None = None,
    last_noise: bool = False,
) -> Tensor:
    """For data of several independent coordinates."""
    steps = sampler.plan(schedule, times, last_noise=last_noise)
    num_noises = sum(bool(row.noise) for step in steps for row in step.rows)
    coefficients = torch.zeros(1 + num_noises, len(variances), dtype=torch.float64)
    coefficients[0] = schedule.prior_std if start is None else start.sqrt()
    state, draw = State(coefficients), unit_vectors()
    for step in steps:
        state = sampler.step(answer(schedule, variances), state, step, draw)
    return state.x.square().sum(0)


def unit_vectors() -> Callable[[Tensor], Tensor]:
    """The k-th noise is the k-th unit vector."""
    drawn = 0

    def draw(x: Tensor) -> Tensor:
        nonlocal drawn
        drawn += 1
        noise = torch.zeros_like(x)
        noise[drawn] = 1
        return noise

    return draw
