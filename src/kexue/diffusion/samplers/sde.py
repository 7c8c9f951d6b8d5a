"""The reverse SDE, dx = (f x - g^2 score) dt + g dw, discretised in two ways.

    Euler-Maruyama       x_s = x_t - h (f x_t - g^2 score) + g sqrt(h) z,                   h = t - s
    reverse diffusion    x_s = (2 - r) x_t + G^2 score + G z,   r = alpha_t / alpha_s,   G^2 = sigma_t^2 - r^2 sigma_s^2

The second takes the forward step itself, x_t = r x_s + G z, for f and g. Both are of weak order 1.
Anderson 1982; Song et al. 2021; Su, kexue.fm/archives/9209 (2022).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from kexue.diffusion.grids import UNIFORM, TimeGrid
from kexue.diffusion.samplers.sampler import Columns, OneRowSampler
from kexue.diffusion.schedules import Schedule


@dataclass(frozen=True)
class EulerMaruyama(OneRowSampler):
    """Equal steps of t; cannot begin where alpha is 0, as f and g are infinite there."""

    grid: ClassVar[TimeGrid] = UNIFORM

    @property
    def stochastic(self) -> bool:
        """Always."""
        return True

    def columns(self, schedule: Schedule, t: Tensor, s: Tensor) -> Columns:
        """f and g at the start of the step, score = -eps / sigma."""
        h, g = t - s, schedule.diffusion(t)
        return Columns(on_x=1 - h * schedule.drift(t), on_eps=-h * g.square() / schedule.sigma(t), noise=g * h.sqrt())


@dataclass(frozen=True)
class ReverseDiffusion(OneRowSampler):
    """The forward chain's own step turned round."""

    grid: ClassVar[TimeGrid] = UNIFORM

    @property
    def stochastic(self) -> bool:
        """Always."""
        return True

    def columns(self, schedule: Schedule, t: Tensor, s: Tensor) -> Columns:
        """r and G from alpha and sigma at both ends."""
        forward = schedule.step_sigma(t, s)
        return Columns(on_x=2 - schedule.step_alpha(t, s), on_eps=-forward.square() / schedule.sigma(t), noise=forward)
