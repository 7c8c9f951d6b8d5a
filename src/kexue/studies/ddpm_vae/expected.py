"""The bound in the mean over data, in nats, without drawing anything.

Each term is linear in E|x_0 - x_0(x_t)|^2, so that with this number, u(t), the whole bound is known:

    prior    alpha_1^2 E x_0^2 / (2 sigma_1^2)
    step     (r - 1 - log r + on_x0^2 u / V) / 2,   r = variance of the posterior / V
    last     (u / V + log(2 pi V)) / 2

for one dimension, with V the variance of the model's step. That of the least bound is the posterior's plus
on_x0^2 u (Su, kexue.fm/archives/9245, 2022).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from kexue.diffusion.bound import step_divergence
from kexue.diffusion.exact import MixtureData
from kexue.diffusion.schedules import Schedule
from kexue.studies.laws import second_moment, uncertainty

Variance = Callable[[Schedule, Tensor, Tensor, Tensor], Tensor]
"""variance(schedule, t, s, u) -> V."""


@dataclass(frozen=True)
class Bound:
    """Terms in nats: of the prior, of the steps from the noise to the data, of the last."""

    prior: float
    steps: list[float]
    last: float

    @property
    def total(self) -> float:
        """The bound."""
        return self.prior + sum(self.steps) + self.last


def unknown(data: MixtureData, schedule: Schedule, num_steps: int) -> list[float]:
    """u at the times of a chain of equal steps, from the noise."""
    return [uncertainty(data, schedule, (num_steps - index) / num_steps) for index in range(num_steps)]


def bound(
    data: MixtureData, schedule: Schedule, num_steps: int, variance: Variance, u: Sequence[float] | None = None
) -> Bound:
    """Of a chain of `num_steps` equal steps of t; `u` where it is at hand."""
    ends = torch.arange(num_steps, -1, -1, dtype=torch.float64) / num_steps
    missed = torch.tensor(u or unknown(data, schedule, num_steps), dtype=torch.float64)[:, None]
    alpha = float(schedule.alpha(ends[0]))
    terms = []
    for (t, s), own in zip(pairwise(ends), missed, strict=True):
        v = variance(schedule, t, s, own)
        terms.append(
            (own / v + torch.log(2 * math.pi * v)) / 2 if s == 0 else step_divergence(schedule, t, s, own, v, dim=1)
        )
    numbers = [float(term) for term in terms]
    prior = alpha**2 * second_moment(data) / (2 * schedule.prior_std**2)
    return Bound(prior, numbers[:-1], numbers[-1])


def added(schedule: Schedule, t: Tensor, s: Tensor, u: Tensor) -> Tensor:
    """beta^2, what the step of the forward chain adds."""
    return schedule.step_sigma(t, s).square() + 0 * u


def posterior(schedule: Schedule, t: Tensor, s: Tensor, u: Tensor) -> Tensor:
    """beta~^2; at the first step, where it is 0, that of the second."""
    if s == 0:
        t, s = 2 * t, t
    return schedule.posterior(t, s).variance + 0 * u


def best(schedule: Schedule, t: Tensor, s: Tensor, u: Tensor) -> Tensor:
    """beta~^2 and what is not known of x_0."""
    step = schedule.posterior(t, s)
    return step.variance + step.on_x0.square() * u


VARIANCES: dict[str, Variance] = {"beta": added, "beta~": posterior, "best": best}
