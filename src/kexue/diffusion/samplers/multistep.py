"""Higher order at one network call per step: what was said at earlier times is used again.

    x_s = sigma_s / sigma_t x_t + sigma_s integral of x_0(c) dc  from c_t to c_s,        c = alpha / sigma

is the probability flow ODE, solved but for x_0(c), the network's answer along the way; DDIM takes it as constant.

`Multistep` is DPM-Solver++ 2M (Lu et al. 2022): a line through the last two answers, over log c.
`Adams` lays polynomials over k = c / sqrt(c^2 + data_std^-2), the cosine of the angle between x_t and Gaussian data of
that spread, for which the answer is m + k (x_0 - m): a line, so any two steps are exact. k goes from 0 at pure noise to
1 at the data, where log c is infinite. It reaches the next time with two answers, and once it has the answer there it
takes the step again with three, which costs no call: an Adams-Bashforth predictor and an Adams-Moulton corrector
(Zhao et al. 2023 do so over log c).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from kexue.diffusion.grids import ANGLES, TimeGrid
from kexue.diffusion.prediction import Denoiser
from kexue.diffusion.randomness import Draw
from kexue.diffusion.samplers.sampler import Row, Sampler, State, Step, ask
from kexue.diffusion.schedules import Schedule
from kexue.errors import OptionError

POINTS, WEIGHTS = np.polynomial.legendre.leggauss(32)
"""Of the quadrature; its error is below 1e-13."""


@dataclass(frozen=True)
class DeterministicMultistep(Sampler):
    """What remembers answers and adds no noise."""

    grid: ClassVar[TimeGrid] = ANGLES

    @property
    def stochastic(self) -> bool:
        """Never."""
        return False


@dataclass(frozen=True)
class Multistep(DeterministicMultistep):
    """DPM-Solver++ 2M; the first step and one to t = 0 are DDIM's."""

    order: ClassVar[int] = 2

    def make_steps(self, schedule: Schedule, times: Tensor) -> list[Step]:
        """x_s = sigma_s/sigma_t x_t + (alpha_s - alpha_t sigma_s/sigma_t) ((1 + q) x_0 - q earlier x_0)."""
        alpha, sigma = schedule.alpha(times), schedule.sigma(times)
        kept = sigma[1:] / sigma[:-1]
        added = alpha[1:] - alpha[:-1] * kept
        lengths = schedule.log_snr(times).diff()
        extra = torch.zeros_like(lengths)  # q = h / (2 h_before)
        extra[1:] = (lengths[1:] / lengths[:-1] / 2).nan_to_num(nan=0.0, posinf=0.0)
        columns = (times[:-1], alpha[:-1], sigma[:-1], kept, added * (1 + extra), -added * extra)
        rows = (
            Row(at, a, d, on_x=k, on_past=(now, before))
            for at, a, d, k, now, before in zip(*(c.tolist() for c in columns), strict=True)
        )
        ends = zip(times[:-1].tolist(), times[1:].tolist(), rows, strict=True)
        return [Step(start, end, (row,), schedule) for start, end, row in ends]

    def step(self, denoise: Denoiser, state: State, step: Step, draw: Draw) -> State:
        """On from the latest two answers."""
        (row,) = step.rows
        prediction = ask(denoise, state.x, row)
        answers = (row.data(state.x, prediction), *state.past[:1])
        return State(row.combine(state.x, answers), prediction, answers)


@dataclass(frozen=True)
class Adams(DeterministicMultistep):
    """Of third order; `data_std` is the standard deviation of the data, for images in [-1, 1] about 0.5."""

    data_std: float = 0.5

    order: ClassVar[int] = 3

    def __post_init__(self) -> None:
        if not self.data_std > 0:
            raise OptionError(f"data_std has to be above 0, got {self.data_std!r}")

    def make_steps(self, schedule: Schedule, times: Tensor) -> list[Step]:
        """Two rows: the step before once more, with what the network says now; then the step on."""
        levels = torch.exp(schedule.log_snr(times) / 2).numpy()
        alpha, sigma = schedule.alpha(times).tolist(), schedule.sigma(times).tolist()

        def row(i: int, start: int, end: int, num_answers: int) -> Row:
            """From `start` to `end` with the answers at i, i - 1, ..."""
            answers = levels[max(i + 1 - num_answers, 0) : i + 1][::-1]
            weights = integrals(answers * self.data_std, levels[start] * self.data_std, levels[end] * self.data_std)
            scale = sigma[end] / self.data_std if sigma[end] else alpha[end]
            on_past = tuple((scale * weights).tolist())
            return Row(times[i].item(), alpha[i], sigma[i], on_x=sigma[end] / sigma[start], on_past=on_past)

        return [
            Step(times[i].item(), times[i + 1].item(), (row(i, max(i - 1, 0), i, 3), row(i, i, i + 1, 2)), schedule)
            for i in range(len(times) - 1)
        ]

    def step(self, denoise: Denoiser, state: State, step: Step, draw: Draw) -> State:
        """The past is where the step before began, and the answers up to there."""
        again, onward = step.rows
        prediction = ask(denoise, state.x, onward)
        answers = (onward.data(state.x, prediction), *state.past[1:3])
        x = again.combine(state.past[0], answers) if state.past else state.x
        return State(onward.combine(x, answers), prediction, (x, *answers))


Array = np.ndarray[tuple[int, ...], np.dtype[np.float64]]


def integrals(nodes: Array, start: float, end: float) -> Array:
    """Of the polynomial that is 1 at one of `nodes` and 0 at the others, for each, over c from `start` to `end`.

    They are polynomials in k(c) = c / sqrt(1 + c^2). For an infinite end, where sigma is 0: their values there, the
    limit of the integral over its length. By Gauss-Legendre over asinh(c), in which k is smooth over powers of ten.
    """
    if np.isinf(end):
        return _lagrange(_cosine(nodes), np.ones(1))[:, 0]
    low, high = np.arcsinh(start), np.arcsinh(end)
    place = (low + high + (high - low) * POINTS) / 2
    values = _lagrange(_cosine(nodes), np.tanh(place)) * WEIGHTS * np.cosh(place)
    total: Array = values.sum(axis=1) * (high - low) / 2
    return total


def _cosine(c: Array) -> Array:
    return np.tanh(np.arcsinh(c))


def _lagrange(nodes: Array, x: Array) -> Array:
    """Each polynomial that is 1 at one node and 0 at the others: [nodes, points]."""
    others = [np.delete(nodes, j) for j in range(len(nodes))]
    return np.stack([np.prod((x[:, None] - o) / (n - o), axis=1) for n, o in zip(nodes, others, strict=True)])
