"""Which times a sampler visits: equal steps of a function u of the noise level, from the start to the data.

    u(t_i) = u(1) - i (u(1) - u(last)) / (S - 1),  i = 0 ... S-1,   then t_S = 0

with `last` the time that S equal steps down to u(0) would visit last, but not below the schedule's `t_min`. So any
number of steps from 1 to far beyond those of training gives a grid, and coefficients follow from alpha and sigma
(Su, kexue.fm/archives/9181, 2022).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from kexue.diffusion.schedules import Schedule
from kexue.errors import OptionError


@dataclass(frozen=True)
class TimeGrid(ABC):
    """Times from noise to data."""

    @abstractmethod
    def times(self, schedule: Schedule, num_steps: int) -> Tensor:
        """float64[num_steps + 1], falling. Raises OptionError for a number of steps that is not at least 1."""


@dataclass(frozen=True)
class EqualSteps(TimeGrid):
    """Equal steps of u, from `start` to `end`; where `end` is 0 the last step leaves from `last` instead.

    Raises OptionError unless 0 <= end < start <= 1.
    """

    start: float = 1.0
    end: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.end < self.start <= 1:
            raise OptionError(f"a grid needs 0 <= end < start <= 1, got start={self.start!r}, end={self.end!r}")

    @abstractmethod
    def level(self, schedule: Schedule, t: Tensor) -> Tensor:
        """u(t), rising."""

    @abstractmethod
    def time(self, schedule: Schedule, u: Tensor) -> Tensor:
        """The t with u(t) = u."""

    def times(self, schedule: Schedule, num_steps: int) -> Tensor:
        """From start to end."""
        check_num_steps(num_steps)
        start = _scalar(self.start)
        if self.end > 0:
            return self._between(schedule, start, _scalar(self.end), num_steps)
        inner = self._between(schedule, start, self._last(schedule, start, num_steps), num_steps - 1)
        return torch.cat((inner, torch.zeros(1, dtype=torch.float64)))

    def _last(self, schedule: Schedule, start: Tensor, num_steps: int) -> Tensor:
        """Where the last step begins."""
        top, bottom = self.level(schedule, start), self.level(schedule, torch.zeros_like(start))
        natural = self.time(schedule, bottom + (top - bottom) / num_steps) if bool(bottom.isfinite()) else start * 0
        return natural.clamp(min=min(schedule.t_min, self.start / 2))

    def _between(self, schedule: Schedule, start: Tensor, end: Tensor, num_steps: int) -> Tensor:
        if num_steps == 0:
            return start[None]
        top, bottom = self.level(schedule, start), self.level(schedule, end)
        if not bool(top.isfinite()):
            raise OptionError(f"{self} begins at t={float(start):g}, where {schedule} has no finite level; start below")
        share = torch.arange(num_steps + 1, dtype=torch.float64) / num_steps
        times = self.time(schedule, torch.lerp(top, bottom, share))
        times[0], times[-1] = start, end
        return times


@dataclass(frozen=True)
class UniformTime(EqualSteps):
    """u = t^(1/power): power 1 uniform, as Ho's chain; 2 quadratic, more steps near the data (Song et al. 2021)."""

    power: float = 1.0

    def level(self, schedule: Schedule, t: Tensor) -> Tensor:
        """t^(1/power)."""
        return t ** (1 / self.power)

    def time(self, schedule: Schedule, u: Tensor) -> Tensor:
        """u^power."""
        return u**self.power


@dataclass(frozen=True)
class UniformLogSNR(EqualSteps):
    """u = -log SNR (Lu et al. 2022)."""

    def level(self, schedule: Schedule, t: Tensor) -> Tensor:
        """-log SNR(t)."""
        return -schedule.log_snr(t)

    def time(self, schedule: Schedule, u: Tensor) -> Tensor:
        """By the schedule."""
        return schedule.time_of_log_snr(-u)


@dataclass(frozen=True)
class Karras(EqualSteps):
    """u = (sigma / alpha)^(1/rho) (Karras et al. 2022)."""

    rho: float = 7.0

    def level(self, schedule: Schedule, t: Tensor) -> Tensor:
        """SNR^(-1/(2 rho))."""
        return torch.exp(-schedule.log_snr(t) / (2 * self.rho))

    def time(self, schedule: Schedule, u: Tensor) -> Tensor:
        """By the schedule."""
        return schedule.time_of_log_snr(-2 * self.rho * u.log())


@dataclass(frozen=True)
class UniformAngle(EqualSteps):
    """u = arctan(sigma / (alpha data_std)), the angle between x_t and the data if these are Gaussian.

    A DDIM step that turns by the angle d multiplies their standard deviation by cos d, so equal angles are the best
    grid there is for them, and both ends, pure data and pure noise, are finite.
    """

    data_std: float = 0.5

    def level(self, schedule: Schedule, t: Tensor) -> Tensor:
        """arctan of exp(-log SNR / 2) / data_std."""
        return torch.atan(torch.exp(-schedule.log_snr(t) / 2) / self.data_std)

    def time(self, schedule: Schedule, u: Tensor) -> Tensor:
        """By the schedule."""
        return schedule.time_of_log_snr(-2 * torch.log(self.data_std * torch.tan(u)))


@dataclass(frozen=True)
class Spacing(TimeGrid):
    """Times out of the `num_train` a network was trained on, spaced as diffusers does; k is t = (k + 1) / num_train.

    More steps than trained ones lie between them. No time is visited twice.
    """

    num_train: int = 1000

    @abstractmethod
    def places(self, num_steps: int) -> Tensor:
        """t * num_train for each step: float64[num_steps], falling."""

    def times(self, schedule: Schedule, num_steps: int) -> Tensor:
        """Down to 0."""
        check_num_steps(num_steps)
        return torch.cat((self.places(num_steps) / self.num_train, torch.zeros(1, dtype=torch.float64)))

    def whole(self, places: Tensor) -> Tensor:
        """Rounded to trained times where there are enough of them; never above the last."""
        return (places.round() if len(places) <= self.num_train else places).clamp(max=self.num_train)


@dataclass(frozen=True)
class Leading(Spacing):
    """1/N, then every N/S-th: starts N/S before the end.

    Where S does not divide N, diffusers cuts N/S to an integer and may start at half the noise; this does not.
    """

    def places(self, num_steps: int) -> Tensor:
        """i N / S + 1."""
        stride = self.num_train / num_steps
        return self.whole(_falling(num_steps, num_steps - 1) * stride + min(stride, 1.0))


@dataclass(frozen=True)
class Linspace(Spacing):
    """Both 1/N and 1, and equal steps between."""

    def places(self, num_steps: int) -> Tensor:
        """N - i (N - 1) / (S - 1)."""
        stride = (self.num_train - 1) / max(num_steps - 1, 1)
        return 1 + self.whole(self.num_train - 1 - stride * torch.arange(num_steps, dtype=torch.float64))


@dataclass(frozen=True)
class Trailing(Spacing):
    """From 1 down in steps of 1/S: begins at pure noise."""

    def places(self, num_steps: int) -> Tensor:
        """i N / S."""
        return self.whole(_falling(num_steps, num_steps) * (self.num_train / num_steps))


@dataclass(frozen=True)
class Given(TimeGrid):
    """Times of one's own."""

    values: Sequence[float]

    def times(self, schedule: Schedule, num_steps: int) -> Tensor:
        """The times given. Raises OptionError where these are not num_steps + 1 times, falling within [0, 1]."""
        times = torch.tensor(self.values, dtype=torch.float64)
        check_times(times)
        if len(times) != num_steps + 1 or bool(times[0] < times[-1]):
            raise OptionError(f"{num_steps} steps need {num_steps + 1} falling times, got {len(times)}: {self.values}")
        return times


UNIFORM, QUADRATIC, ANGLES = UniformTime(), UniformTime(power=2.0), UniformAngle()
"""The grids that samplers take by default."""

GRIDS: dict[str, type[TimeGrid]] = {
    "uniform": UniformTime,
    "log_snr": UniformLogSNR,
    "karras": Karras,
    "angle": UniformAngle,
    "leading": Leading,
    "linspace": Linspace,
    "trailing": Trailing,
}


def check_num_steps(num_steps: int) -> None:
    """Refuse what is no number of steps."""
    if isinstance(num_steps, bool) or not isinstance(num_steps, int) or num_steps < 1:
        raise OptionError(f"the number of steps has to be an integer of at least 1, got {num_steps!r}")


def check_times(times: Tensor) -> None:
    """Refuse times that are not at least two in [0, 1], all falling or all rising."""
    if times.ndim != 1 or len(times) < 2:
        raise OptionError(f"a walk needs at least two times, got {tuple(times.shape)}")
    outside = ~((times >= 0) & (times <= 1))
    if bool(outside.any()):
        raise OptionError(f"times have to lie within [0, 1], got t={float(times[outside][0]):g}")
    change = times.diff()
    if not bool((change < 0).all() or (change > 0).all()):
        raise OptionError(f"times have to fall or to rise all the way, got {[round(t, 6) for t in times.tolist()]}")


def _falling(num: int, first: int) -> Tensor:
    """first, first - 1, ...: float64[num]."""
    return torch.arange(first, first - num, -1, dtype=torch.float64)


def _scalar(value: float) -> Tensor:
    return torch.tensor(value, dtype=torch.float64)
