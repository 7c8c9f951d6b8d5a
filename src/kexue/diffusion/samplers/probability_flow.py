"""The probability flow ODE in t: dx/dt = alpha' x_0 + sigma' eps, the derivative of x_t = alpha x_0 + sigma eps.

With x_0 and eps as expected at x_t it is the same as f x - g^2 score / 2, but finite where alpha is 0.
Song et al. 2021; Su, kexue.fm/archives/9228 (2022).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from kexue.diffusion.grids import QUADRATIC, TimeGrid
from kexue.diffusion.samplers.sampler import Columns, OneRowSampler, RowSampler, Step, rows_at
from kexue.diffusion.schedules import Schedule


@dataclass(frozen=True)
class Euler(OneRowSampler):
    """x_s = x_t - h x'(t)."""

    grid: ClassVar[TimeGrid] = QUADRATIC

    @property
    def stochastic(self) -> bool:
        """Never."""
        return False

    def columns(self, schedule: Schedule, t: Tensor, s: Tensor) -> Columns:
        """Rates at the start of the step."""
        alpha_rate, sigma_rate = schedule.rates(t)
        return Columns(on_x=1.0, on_x0=(s - t) * alpha_rate, on_eps=(s - t) * sigma_rate)


@dataclass(frozen=True)
class Heun(RowSampler):
    """An Euler step to y, then x_s = x_t - h (x'(t) + y'(s)) / 2 = (x_t + y - h y'(s)) / 2: two network calls.

    A step to t = 0, where there is no noise to predict, is Euler's.
    """

    grid: ClassVar[TimeGrid] = QUADRATIC

    @property
    def order(self) -> int:
        """Of the second."""
        return 2

    @property
    def stochastic(self) -> bool:
        """Never."""
        return False

    def make_steps(self, schedule: Schedule, times: Tensor) -> list[Step]:
        """Two rows, or one for a last step to t = 0."""
        steps = Euler().make_steps(schedule, times)
        t, s = times[:-1], times[1:]
        inner = s > 0
        alpha_rate, sigma_rate = schedule.rates(s[inner])
        half = (s - t)[inner] / 2
        second = Columns(on_x=0.5, on_x0=half * alpha_rate, on_eps=half * sigma_rate, on_start=0.5)
        means = list(rows_at(schedule, s[inner], second))
        return [step._replace(rows=(*step.rows, means[i])) if i < len(means) else step for i, step in enumerate(steps)]
