"""From data to the noise that a deterministic sampler turns into them.

`encode` integrates the probability flow ODE upward, by any deterministic sampler. At t = 0 there is no noise to
predict, but near it x/alpha is even in r = sigma/alpha, so x/alpha = x_0 + r eps / 2 up to r^4; so it begins at
`t_min`.

`invert` undoes a sampler's own steps: it solves x_s = step(x_t) for x_t,

    x_t = (alpha_t x_s + (on_x0 sigma_t - on_eps alpha_t) eps(x_t)) / (on_x alpha_t + on_x0),

or its twin in x_0(x_t), by fixed-point iteration from what was said the step before, from the second on by secants.
With one iteration and eps(x_s) it would be the inversion of Song, Meng, Ermon 2020, which is off by a term of first
order. Su, kexue.fm/archives/9181 (2022); Pan et al. 2023.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from kexue.diffusion.grids import TimeGrid, check_num_steps
from kexue.diffusion.prediction import Denoiser, Prediction
from kexue.diffusion.samplers import Sampler, Step
from kexue.diffusion.samplers.sampler import OneRowSampler, Row, ask
from kexue.diffusion.sampling import Callback, check_batch, follow, in_dtype, suited_grid, walk
from kexue.diffusion.schedules import Schedule
from kexue.diffusion.shapes import per_sample
from kexue.errors import OptionError
from kexue.ops.precision import exact_dtype

LONGEST = 10.0
"""Of the step of an iteration, in units of the change before it."""


@torch.no_grad()
def encode(
    denoise: Denoiser,
    schedule: Schedule,
    x0: Tensor,
    sampler: Sampler,
    num_steps: int,
    *,
    grid: TimeGrid | None = None,
    callback: Callback | None = None,
) -> Tensor:
    """The noise, of about N(0, 1), from which `sample` makes x0[batch, ...] with the same sampler and steps.

    The error is of the sampler's order; it costs one network call more than sampling. Raises OptionError for a
    stochastic sampler, and as `sample` does.
    """
    check_batch("x0", x0)
    _check_deterministic(sampler)
    seen, grid = in_dtype(denoise, x0.dtype), grid or suited_grid(denoise, sampler)
    times = grid.times(schedule, num_steps).flip(0)
    x = x0.to(exact_dtype(x0))
    if times[0] == 0:
        first = times[1:2].clamp(max=schedule.t_min)
        x = _lift(seen, schedule, x, first)
        times = torch.cat((first, times[times > first]))
    steps = sampler.plan(schedule, times)
    x = follow(walk(seen, sampler, steps, x), steps, callback)
    return (x / schedule.prior_std).to(x0.dtype)


@torch.no_grad()
def invert(
    denoise: Denoiser,
    schedule: Schedule,
    x0: Tensor,
    sampler: OneRowSampler,
    num_steps: int,
    *,
    iterations: int = 2,
    grid: TimeGrid | None = None,
) -> Tensor:
    """The noise that `sample`, with the same sampler and steps, turns into x0[batch, ...] again.

    Costs num_steps * iterations network calls. Raises OptionError for a stochastic sampler, one of several rows per
    step, or iterations below 1.
    """
    check_batch("x0", x0)
    _check_deterministic(sampler)
    if not isinstance(sampler, OneRowSampler):
        raise OptionError(f"{sampler} has no step that could be undone by itself; take DDIM or Euler, or `encode`")
    check_num_steps(iterations)
    seen = in_dtype(denoise, x0.dtype)
    steps = sampler.plan(schedule, (grid or suited_grid(denoise, sampler)).times(schedule, num_steps))
    x = x0.to(exact_dtype(x0))
    said: Prediction | None = None
    for step in reversed(steps):
        x, said = _undo(seen, step, x, said, iterations)
    return (x / schedule.prior_std).to(x0.dtype)


def _undo(
    denoise: Denoiser, step: Step, x_s: Tensor, said: Prediction | None, iterations: int
) -> tuple[Tensor, Prediction]:
    """x_t with step(x_t) = x_s, and what is said there; `said` is a first guess."""
    before = _Before(step)
    x = before(x_s, said)
    last: tuple[Tensor, Tensor] | None = None
    for _ in range(iterations):
        said = ask(denoise, x, before.row)
        image = before(x_s, said)
        missed = image - x
        x = image if last is None else _secant(image, missed, *last)
        last = image, missed
    return x, cast(Prediction, said)


@dataclass(frozen=True)
class _Before:
    """x_t that a step brings to x_s, if what the network says is known: by eps near the data, by x_0 amid the noise.

    There x_0 hardly depends on x_t, and where alpha is 0 eps is x_t itself and would say nothing.
    """

    step: Step

    @property
    def row(self) -> Row:
        """The only one."""
        return self.step.rows[0]

    def __call__(self, x_s: Tensor, said: Prediction | None) -> Tensor:
        """With eps = 0 where nothing has been said."""
        row = self.row
        if row.alpha < row.sigma and self.step.s > 0 and said is not None:
            share = row.on_x * row.sigma + row.on_eps
            on_said, answer = row.on_eps * row.alpha - row.on_x0 * row.sigma, said.x0
            return torch.mul(x_s, row.sigma / share).add_(answer, alpha=on_said / share)
        share = row.on_x * row.alpha + row.on_x0
        x = torch.mul(x_s, row.alpha / share)
        on_said = row.on_x0 * row.sigma - row.on_eps * row.alpha
        return x if said is None else x.add_(said.eps, alpha=on_said / share)


def _secant(image: Tensor, missed: Tensor, last_image: Tensor, last_missed: Tensor) -> Tensor:
    """Where `missed` would be smallest on the line through both iterates, sample by sample (Anderson 1965)."""
    change = (missed - last_missed).flatten(1)
    share = (missed.flatten(1) * change).sum(1) / change.square().sum(1)
    share = share.nan_to_num(0.0).clamp(-LONGEST, LONGEST)
    return image - per_sample(share, image) * (image - last_image)


def _lift(denoise: Denoiser, schedule: Schedule, x0: Tensor, t: Tensor) -> Tensor:
    """x_t on the path that ends at x0, for a small t."""
    alpha, sigma = float(schedule.alpha(t)), float(schedule.sigma(t))
    eps = ask(denoise, alpha * x0, Row(float(t), alpha, sigma)).eps
    return torch.mul(x0, alpha).add_(eps, alpha=sigma / 2)


def _check_deterministic(sampler: Sampler) -> None:
    if sampler.stochastic:
        raise OptionError(f"{sampler} adds noise, so no noise is the one that makes x0; take a deterministic sampler")
