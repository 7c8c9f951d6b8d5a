"""Higher order at one network call per step: what was said at earlier times is used again.

    x_s = kept x_t + sigma_s integral of w(c) x_0(c) dc + noise z,        c = alpha / sigma from c_t to c_s

is the reverse process, solved but for x_0(c), the network's answer along the way; DDIM takes it as constant. The noise
is that of DDIM(eta), and takes the place of some of x_t:

    kept = sigma_s / sigma_t (c_t / c_s)^d,        w(c) = (1 + d) (c / c_s)^d

with d = 0 for eta = 0, the probability flow ODE, and d = 1 for eta = 1, the reverse SDE.

`Multistep` puts a line through the last two answers, over log c: DPM-Solver++ 2M and, with eta = 1, SDE-DPM-Solver++ 2M
(Lu et al. 2022).
`Adams` lays polynomials over k = c / sqrt(c^2 + data_std^-2), the cosine of the angle between x_t and Gaussian data of
that spread, for which the answer is m + k (x_0 - m): a line, so any two steps are exact. k goes from 0 at pure noise to
1 at the data, where log c is infinite. It reaches the next time with two answers, and once it has the answer there it
mends the step by what three answers make of it, which costs no call: an Adams-Bashforth predictor and an Adams-Moulton
corrector (Zhao et al. 2023 do so over log c, without noise).
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kexue.diffusion.grids import ANGLES, TimeGrid
from kexue.diffusion.prediction import Denoiser
from kexue.diffusion.randomness import Draw
from kexue.diffusion.samplers.ddim import check_eta, kept_noise, posterior_noise
from kexue.diffusion.samplers.sampler import Row, Sampler, State, Step, ask
from kexue.diffusion.schedules import Schedule
from kexue.errors import OptionError

POINTS, WEIGHTS = np.polynomial.legendre.leggauss(32)
"""Of the quadrature; its error is below 1e-13."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class RememberingSampler(Sampler):
    """What takes a step with the latest answers, each times a number; with eta within [0, 1], OptionError otherwise."""

    eta: float = 0.0

    grid: ClassVar[TimeGrid] = ANGLES

    def __post_init__(self) -> None:
        check_eta(self.eta)

    @property
    def stochastic(self) -> bool:
        """Unless eta is 0."""
        return self.eta > 0

    @abstractmethod
    def weights(self, levels: Array, alpha: Array, sigma: Array, kept: Array) -> list[Array]:
        """For each step, the numbers of the answers at its beginning, at that of the step before, ...

        levels, alpha, sigma [num_steps + 1] at the times, levels their ratio; kept [num_steps], the number of x_t.
        """

    def make_steps(self, schedule: Schedule, times: Tensor) -> list[Step]:
        """A row a step."""
        alpha, sigma = schedule.alpha(times), schedule.sigma(times)
        levels = torch.exp(schedule.log_snr(times) / 2)
        noise = posterior_noise(schedule, times[:-1], times[1:], self.eta)
        kept = kept_noise(sigma[1:], noise) / sigma[:-1]
        weights = self.weights(*(column.numpy() for column in (levels, alpha, sigma, kept)))
        columns = (column.tolist() for column in (times[:-1], times[1:], alpha[:-1], sigma[:-1], kept, noise))
        return [
            Step(t, s, (Row(t, a, d, on_x=k, noise=n, on_past=tuple(w.tolist())),), schedule)
            for (t, s, a, d, k, n), w in zip(zip(*columns, strict=True), weights, strict=True)
        ]

    def step(self, denoise: Denoiser, state: State, step: Step, draw: Draw) -> State:
        """On from the latest answers; where a walk begins, from those there are."""
        (row,) = step.rows
        prediction = ask(denoise, state.x, row)
        answers = (row.data(state.x, prediction), *state.past)[: len(row.on_past)]
        return State(row.combine(state.x, answers, draw), prediction, answers)


@dataclass(frozen=True)
class Multistep(RememberingSampler):
    """DPM-Solver++ 2M, with eta = 1 its SDE form; the first step and one to t = 0 are DDIM's."""

    @property
    def order(self) -> int:
        """Of the second."""
        return 2

    def weights(self, levels: Array, alpha: Array, sigma: Array, kept: Array) -> list[Array]:
        """(1 + q) x_0 - q earlier x_0 in the place of x_0, q = h / (2 h_before) and h a step of log c."""
        added = alpha[1:] - alpha[:-1] * kept
        with np.errstate(divide="ignore", invalid="ignore"):
            lengths = np.diff(np.log(levels))
            ratios = np.nan_to_num(lengths[1:] / lengths[:-1] / 2, posinf=0.0)
        extra = np.concatenate([np.zeros(1), ratios])
        return list(np.stack([added * (1 + extra), -added * extra], axis=1))


@dataclass(frozen=True)
class Adams(RememberingSampler):
    """Of third order; `data_std` is the standard deviation of the data, for images in [-1, 1] about 0.5."""

    data_std: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.data_std > 0:
            raise OptionError(f"data_std has to be above 0, got {self.data_std!r}")

    @property
    def order(self) -> int:
        """Of the third; with noise the law is of the second."""
        return 2 if self.eta else 3

    def weights(self, levels: Array, alpha: Array, sigma: Array, kept: Array) -> list[Array]:
        """Of the step on with two answers, and of the mending of the step before."""
        places = levels * self.data_std
        damping = _damping(levels, sigma, kept) if self.eta else np.zeros_like(kept)

        def onward(i: int, last: int, num: int) -> Array:
            """From time i to the next with `num` answers, the last of them at `last`; fewer where a walk begins."""
            nodes = places[max(last + 1 - num, 0) : last + 1][::-1]
            scale = sigma[i + 1] / self.data_std if sigma[i + 1] else alpha[i + 1]
            return float(scale) * integrals(nodes, float(places[i]), float(places[i + 1]), float(damping[i]))

        ahead = [onward(i, i, 2) for i in range(len(kept))]
        rows = [np.pad(weights, (0, 3 - len(weights))) for weights in ahead]
        for i in range(1, len(kept)):
            mended, before = onward(i - 1, i, 3), ahead[i - 1]
            rows[i][: len(mended)] += kept[i] * mended
            rows[i][1 : 1 + len(before)] -= kept[i] * before
        return rows


def _damping(levels: Array, sigma: Array, kept: Array) -> Array:
    """d of each step; 1 where nothing of x_t is kept."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.nan_to_num(np.log(kept * sigma[:-1] / sigma[1:]) / np.log(levels[:-1] / levels[1:]), nan=1.0)


def integrals(nodes: Array, start: float, end: float, damping: float) -> Array:
    """Of w(c) times the polynomial that is 1 at one of `nodes` and 0 at the others, for each, from `start` to `end`.

    They are polynomials in k(c) = c / sqrt(1 + c^2); w(c) = (1 + damping) (c / end)^damping. For an infinite end, where
    sigma is 0: their values there, the limit of the integral over its length. By Gauss-Legendre over asinh(c), in which
    k is smooth over powers of ten.
    """
    if np.isinf(end):
        return _lagrange(_cosine(nodes), np.ones(1))[:, 0]
    low, high = np.arcsinh(start), np.arcsinh(end)
    place = (low + high + (high - low) * POINTS) / 2
    weight = (1 + damping) * (np.sinh(place) / end) ** damping if damping else 1.0
    values = _lagrange(_cosine(nodes), np.tanh(place)) * WEIGHTS * weight * np.cosh(place)
    total: Array = values.sum(axis=1) * (high - low) / 2
    return total


def _cosine(c: Array) -> Array:
    return np.tanh(np.arcsinh(c))


def _lagrange(nodes: Array, x: Array) -> Array:
    """Each polynomial that is 1 at one node and 0 at the others: [nodes, points]."""
    others = [np.delete(nodes, j) for j in range(len(nodes))]
    return np.stack([np.prod((x[:, None] - o) / (n - o), axis=1) for n, o in zip(nodes, others, strict=True)])
