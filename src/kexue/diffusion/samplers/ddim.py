"""DDIM: any amount of noise between none and that of DDPM, for one trained network.

    x_s = alpha_s x_0 + sqrt(sigma_s^2 - noise^2) eps + noise z,      noise = eta sigma_s beta / sigma_t

beta the standard deviation of x_t given x_s. eta = 1 is ancestral DDPM with the smaller of its two fixed variances,
eta = 0 the deterministic DDIM, first-order integration of d(x/alpha) = eps d(sigma/alpha).
Song, Meng, Ermon 2020; Su, kexue.fm/archives/9181 (2022).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from kexue.diffusion.grids import ANGLES, TimeGrid
from kexue.diffusion.samplers.sampler import Columns, OneRowSampler
from kexue.diffusion.schedules import Schedule
from kexue.errors import OptionError


@dataclass(frozen=True)
class DDIM(OneRowSampler):
    """eta within [0, 1]; OptionError otherwise."""

    eta: float = 0.0

    grid: ClassVar[TimeGrid] = ANGLES

    def __post_init__(self) -> None:
        check_eta(self.eta)

    @property
    def stochastic(self) -> bool:
        """Unless eta is 0."""
        return self.eta > 0

    def columns(self, schedule: Schedule, t: Tensor, s: Tensor) -> Columns:
        """Numbers for x_0, eps and noise."""
        noise = posterior_noise(schedule, t, s, self.eta)
        return Columns(on_x0=schedule.alpha(s), on_eps=kept_noise(schedule.sigma(s), noise), noise=noise)


@dataclass(frozen=True)
class SigmaHat(OneRowSampler):
    """The mean of eta = 1 with the noise enlarged to beta: the larger of the two fixed variances of DDPM.

    Exact for data N(0, I), coarse at few steps for anything narrow. beta cannot be put into DDIM's formula itself,
    whose root would be of a negative number at the last steps (Song, Meng, Ermon 2020; Ho et al. 2020).
    """

    @property
    def stochastic(self) -> bool:
        """Always."""
        return True

    def columns(self, schedule: Schedule, t: Tensor, s: Tensor) -> Columns:
        """Those of DDIM(eta=1), but the noise."""
        return DDIM(eta=1.0).columns(schedule, t, s)._replace(noise=schedule.step_sigma(t, s))


def check_eta(eta: float) -> None:
    """Refuse an eta outside [0, 1]: above 1 there is no root of sigma_s^2 - noise^2."""
    if not (0 <= eta <= 1 and math.isfinite(eta)):
        raise OptionError(f"eta has to be within 0 (deterministic) and 1 (DDPM), got {eta!r}")


def posterior_noise(schedule: Schedule, t: Tensor, s: Tensor, eta: float) -> Tensor:
    """eta times the standard deviation of x_s given x_t and x_0; zeros where eta is 0, for rising times too."""
    return eta * schedule.posterior(t, s).variance.sqrt() if eta else t * 0


def kept_noise(sigma: Tensor, fresh: Tensor) -> Tensor:
    """sqrt(sigma^2 - fresh^2), of a number that rounding may bring below 0."""
    return ((sigma - fresh) * (sigma + fresh)).clamp(min=0).sqrt()
