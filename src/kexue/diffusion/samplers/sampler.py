"""A sampler walks from noise to data; a step is one row of numbers, made in float64 before the first step.

    x_s = on_x x_t + on_x0 x_0 + on_eps eps + sum_j on_past_j past_j + noise z

x_0 and eps are what the network says at x_t. Both are rows of x_t and of the network's output, so a step of whatever
sampler and whatever parameterization is two fused operations. A step names both its ends: nothing is hidden in a
"previous timestep", and sub-sequences of times need nothing but alpha and sigma (Su, kexue.fm/archives/9181, 2022).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar, NamedTuple, cast

import torch
from torch import Tensor

from kexue.diffusion.grids import UNIFORM, TimeGrid, check_times
from kexue.diffusion.prediction import Denoiser, Prediction
from kexue.diffusion.randomness import Draw
from kexue.diffusion.schedules import Schedule
from kexue.errors import OptionError


@dataclass(frozen=True, slots=True)
class Row:
    """What is done with the network's answer at time t, where alpha and sigma are as given."""

    t: float
    alpha: float
    sigma: float
    on_x: float = 0.0
    on_x0: float = 0.0
    on_eps: float = 0.0
    noise: float = 0.0
    on_past: tuple[float, ...] = ()

    def apply(self, x: Tensor, prediction: Prediction, draw: Draw, past: tuple[Tensor, ...] = ()) -> Tensor:
        """x_s."""
        return self._finish(self._said(x, prediction, self.on_x, self.on_x0, self.on_eps), past, draw)

    def data(self, x: Tensor, prediction: Prediction) -> Tensor:
        """x_0, by numbers in place of tensors."""
        return self._said(x, prediction, 0.0, 1.0, 0.0)

    def combine(self, x: Tensor, past: tuple[Tensor, ...], draw: Draw) -> Tensor:
        """x_s of what is past alone: what is said now is part of it."""
        return self._finish(torch.mul(x, self.on_x), past, draw)

    def _said(self, x: Tensor, prediction: Prediction, on_x: float, on_x0: float, on_eps: float) -> Tensor:
        """on_x x + on_x0 x_0 + on_eps eps, as one row of x and the network's output."""
        row = prediction.parameterization.row(self.alpha, self.sigma, on_x0, on_eps)
        more_x, on_value = (cast(float, number) for number in row)  # of floats come floats
        return torch.mul(x, on_x + more_x).add_(prediction.value, alpha=on_value)

    def _finish(self, moved: Tensor, past: tuple[Tensor, ...], draw: Draw) -> Tensor:
        """In place: the past, and noise, which is drawn only where its number is not 0.

        Where less is remembered than there are numbers, the oldest takes those of what is not there.
        """
        weights = self.on_past
        if len(weights) > len(past) > 0:
            weights = (*weights[: len(past) - 1], sum(weights[len(past) - 1 :]))
        for weight, tensor in zip(weights, past, strict=False):  # what has no number is not needed
            moved.add_(tensor, alpha=weight)
        return moved.add_(draw(moved), alpha=self.noise) if self.noise else moved


class Step(NamedTuple):
    """From time t to time s under a schedule; the rows in the order in which they are applied."""

    t: float
    s: float
    rows: tuple[Row, ...]
    schedule: Schedule


class State(NamedTuple):
    """Where a walk stands: x, what the network last said, and what the sampler remembers of earlier steps."""

    x: Tensor
    prediction: Prediction | None = None
    past: tuple[Tensor, ...] = ()


class Columns(NamedTuple):
    """The numbers of the rows of all steps, one column each: float64[num_steps] or a number for all."""

    on_x: Tensor | float = 0.0
    on_x0: Tensor | float = 0.0
    on_eps: Tensor | float = 0.0
    noise: Tensor | float = 0.0
    on_start: Tensor | float = 0.0


@dataclass(frozen=True)
class Sampler(ABC):
    """An algorithm without weights.

    `grid` is the time grid that suits it where the user names none.
    """

    grid: ClassVar[TimeGrid] = UNIFORM

    @property
    def order(self) -> int:
        """That of the global error in the length of a step; of the error of the law for a stochastic one."""
        return 1

    @property
    @abstractmethod
    def stochastic(self) -> bool:
        """Whether steps add noise."""

    @abstractmethod
    def make_steps(self, schedule: Schedule, times: Tensor) -> list[Step]:
        """The steps between successive times, float64[num_steps + 1], noise in all of them."""

    @abstractmethod
    def step(self, denoise: Denoiser, state: State, step: Step, draw: Draw) -> State:
        """From x_t to x_s."""

    def plan(self, schedule: Schedule, times: Tensor, *, last_noise: bool = False) -> list[Step]:
        """The steps along `times`, falling for sampling or rising for encoding.

        The last step adds no noise unless `last_noise`, as what it would add stays in the picture.
        Raises OptionError for times outside [0, 1] or not in order, for a stochastic sampler along rising times,
        and where a number is not finite, as for an SDE that starts where alpha is 0.
        """
        check_times(times)
        if self.stochastic and bool(times[0] < times[-1]):
            raise OptionError(
                f"{self} adds noise, so it cannot be run toward the noise; take one that is deterministic"
            )
        steps = self.make_steps(schedule, times.to(torch.float64))
        _check_finite(self, schedule, steps)
        return steps if last_noise or not steps else [*steps[:-1], _without_noise(steps[-1])]


@dataclass(frozen=True)
class RowSampler(Sampler):
    """A sampler that applies the rows of a step one after the other and remembers nothing between steps.

    The one thing in a row's past is x_t, where the step began.
    """

    def step(self, denoise: Denoiser, state: State, step: Step, draw: Draw) -> State:
        """One row per network call."""
        x, start, prediction = state.x, (state.x,), state.prediction
        for row in step.rows:
            prediction = ask(denoise, x, row)
            x = row.apply(x, prediction, draw, start)
        return State(x, prediction)


@dataclass(frozen=True)
class OneRowSampler(RowSampler):
    """A sampler of one network call per step."""

    @abstractmethod
    def columns(self, schedule: Schedule, t: Tensor, s: Tensor) -> Columns:
        """The numbers for steps from t to s, both float64[num_steps]."""

    def make_steps(self, schedule: Schedule, times: Tensor) -> list[Step]:
        """One row per step."""
        t, s = times[:-1], times[1:]
        rows = rows_at(schedule, t, self.columns(schedule, t, s))
        ends = zip(t.tolist(), s.tolist(), rows, strict=True)
        return [Step(start, end, (row,), schedule) for start, end, row in ends]


def ask(denoise: Denoiser, x: Tensor, row: Row) -> Prediction:
    """What the network says at the time of a row."""
    return denoise(x, torch.full((len(x),), row.t, dtype=x.dtype, device=x.device))


def rows_at(schedule: Schedule, t: Tensor, columns: Columns) -> Iterator[Row]:
    """Rows whose network calls are at the times t."""
    table = [(c if isinstance(c, Tensor) else torch.full_like(t, c)).tolist() for c in columns]
    at = (t.tolist(), schedule.alpha(t).tolist(), schedule.sigma(t).tolist())
    for *head, on_start in zip(*at, *table, strict=True):
        yield Row(*head, on_past=(on_start,) if on_start else ())


def _without_noise(step: Step) -> Step:
    return step._replace(rows=tuple(replace(row, noise=0.0) for row in step.rows))


def _check_finite(sampler: Sampler, schedule: Schedule, steps: list[Step]) -> None:
    for step in steps:
        for row in step.rows:
            numbers = (row.on_x, row.on_x0, row.on_eps, row.noise, *row.on_past)
            if not all(map(math.isfinite, numbers)):
                where = f"from t={step.t:g} to {step.s:g} (alpha {row.alpha:g}, sigma {row.sigma:g})"
                raise OptionError(
                    f"{sampler} has no finite step {where} of {schedule}; begin at a smaller t or take DDIM"
                )
