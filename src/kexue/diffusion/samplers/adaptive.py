"""The probability flow ODE with steps as long as an error allows, each image with its own.

    dx/dt = alpha'(t) x_0 + sigma'(t) eps

by the embedded Runge-Kutta pair of `kexue.diffusion.ode`. The steps asked for are those within which it chooses its
own, so one is enough. The ODE ends at the schedule's `t_min`; from there to t = 0 is a step of DDIM.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from kexue.diffusion import ode
from kexue.diffusion.grids import UNIFORM, TimeGrid
from kexue.diffusion.prediction import Denoiser
from kexue.diffusion.randomness import Draw
from kexue.diffusion.samplers.ddim import DDIM
from kexue.diffusion.samplers.sampler import Row, Sampler, State, Step, ask
from kexue.diffusion.schedules import Schedule
from kexue.diffusion.shapes import per_sample
from kexue.errors import OptionError


@dataclass(frozen=True)
class Adaptive(Sampler):
    """The error of each step of an image is held at atol + rtol |x|, as the root of the mean square over its values.

    Raises OptionError for tolerances that are not above 0, and when sampling where `max_calls` network calls do not
    suffice.
    """

    rtol: float = 1e-4
    atol: float = 1e-4
    max_calls: int = 10_000

    grid: ClassVar[TimeGrid] = UNIFORM

    def __post_init__(self) -> None:
        if not (self.rtol > 0 and self.atol > 0):
            raise OptionError(f"tolerances have to be above 0, got rtol={self.rtol!r} and atol={self.atol!r}")

    @property
    def order(self) -> int:
        """That of the solver."""
        return ode.ORDER

    @property
    def stochastic(self) -> bool:
        """Never."""
        return False

    def make_steps(self, schedule: Schedule, times: Tensor) -> list[Step]:
        """No row, but one for the rest of a step to t = 0."""
        ends = zip(times[:-1].tolist(), times[1:].tolist(), strict=True)
        return [Step(t, s, () if s else _rest(schedule, t), schedule) for t, s in ends]

    def step(self, denoise: Denoiser, state: State, step: Step, draw: Draw) -> State:
        """Integrate, then take the row if there is one."""
        x = self._integrate(denoise, state.x, step, step.rows[0].t if step.rows else step.s)
        if not step.rows:
            return State(x)
        prediction = ask(denoise, x, step.rows[0])
        return State(step.rows[0].apply(x, prediction, draw), prediction)

    def _integrate(self, denoise: Denoiser, x: Tensor, step: Step, end: float) -> Tensor:
        def velocity(t: Tensor, state: ode.State) -> ode.State:
            alpha_rate, sigma_rate = (per_sample(rate, x) for rate in step.schedule.rates(t))
            return (denoise(state[0], t.to(x.dtype)).combine(alpha_rate, sigma_rate),)

        if end == step.t:
            return x
        solution = ode.integrate(velocity, (x,), step.t, end, rtol=self.rtol, atol=self.atol, max_calls=self.max_calls)
        return solution.state[0]


def _rest(schedule: Schedule, t: float) -> tuple[Row, ...]:
    """From t_min, or from t if that is lower, to 0."""
    times = torch.tensor([min(t, schedule.t_min), 0.0], dtype=torch.float64)
    return DDIM().make_steps(schedule, times)[0].rows
