"""From a network to a denoiser, and wrappers of denoisers: all give a `Prediction`.

    guided      value = without + scale (with - without)                       Ho and Salimans 2022
    thresholded x_0 clipped per sample; eps follows from the clipped x_0, never from the one before

An eps that is kept while x_0 is clipped contradicts x_t, and the contradiction grows with the number of steps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from kexue.diffusion.prediction import EPS, Denoiser, Levels, Parameterization, Prediction, announced
from kexue.diffusion.schedules.schedule import Schedule, step_before
from kexue.diffusion.shapes import per_sample
from kexue.errors import OptionError

Network = Callable[[Tensor, Tensor], Tensor]
"""network(x_t, t) -> a tensor of the shape of x_t; t of shape [batch] in [0, 1]."""


@dataclass(frozen=True)
class NetworkDenoiser:
    """A network whose output means what `parameterization` says, under `schedule`.

    Raises OptionError where the schedule ends without any signal (alpha(1) = 0) and the network predicts noise, of
    which no x_0 follows there.
    """

    network: Network
    schedule: Schedule
    parameterization: Parameterization = EPS

    def __post_init__(self) -> None:
        if float(self.schedule.alpha(torch.ones(()))) == 0:
            self.parameterization.x0_row(0.0, 1.0)

    def __call__(self, x_t: Tensor, t: Tensor) -> Prediction:
        """What the network says about x_t of shape [batch, ...] at times t of shape [batch]."""
        levels = Levels(lambda: (per_sample(self.schedule.alpha(t), x_t), per_sample(self.schedule.sigma(t), x_t)))
        seen = self.parameterization.network_input(x_t, levels)
        return Prediction(self.network(seen, t), x_t, levels, self.parameterization)


@dataclass(frozen=True)
class ArticleDenoiser:
    """A network that predicts noise as kexue.fm/archives/9119 and 9152 scale it, for a chain of `num_steps`."""

    network: Network
    schedule: Schedule
    num_steps: int = 1000

    parameterization: ClassVar[Parameterization] = EPS

    def __call__(self, x_t: Tensor, t: Tensor) -> Prediction:
        """What the network says about x_t of shape [batch, ...] at times t of shape [batch], 1 / num_steps at least."""
        alpha, sigma = (per_sample(c, x_t) for c in (self.schedule.alpha(t), self.schedule.sigma(t)))
        step_sigma = per_sample(self.schedule.step_sigma(t, step_before(t, self.num_steps)), x_t)
        return Prediction.from_article_eps(self.network(x_t, t), x_t, alpha, sigma, step_sigma)


@dataclass(frozen=True)
class Guided:
    """Classifier-free guidance: scale 0 is without the condition, 1 with it, more exaggerates it."""

    conditional: Denoiser
    unconditional: Denoiser
    scale: float

    @property
    def parameterization(self) -> Parameterization | None:
        """That of both."""
        return announced(self.conditional)

    def __call__(self, x_t: Tensor, t: Tensor) -> Prediction:
        """The guided prediction; both denoisers have to predict the same thing."""
        wanted, plain = self.conditional(x_t, t), self.unconditional(x_t, t)
        if wanted.parameterization != plain.parameterization:
            kinds = f"{wanted.parameterization} and {plain.parameterization}"
            raise OptionError(f"guidance needs two denoisers that predict the same thing, got {kinds}")
        return replace(wanted, value=torch.lerp(plain.value, wanted.value, self.scale))


@dataclass(frozen=True)
class Thresholded:
    """x_0 limited to what data can be; eps re-derived. `threshold` sees x_0 and limits it, sample by sample."""

    denoise: Denoiser
    threshold: Callable[[Tensor], Tensor]

    @property
    def parameterization(self) -> Parameterization | None:
        """That of the denoiser, whose error is limited but not mended."""
        return announced(self.denoise)

    def __call__(self, x_t: Tensor, t: Tensor) -> Prediction:
        """The prediction with a limited x_0."""
        free = self.denoise(x_t, t)
        return Prediction.from_x0(self.threshold(free.x0), x_t, free.alpha, free.sigma)


@dataclass(frozen=True)
class Clip:
    """Static: every value is brought into [low, high]."""

    low: float = -1.0
    high: float = 1.0

    def __call__(self, x0: Tensor) -> Tensor:
        """x_0 within the limits."""
        return x0.clamp(self.low, self.high)


@dataclass(frozen=True)
class DynamicClip:
    """Dynamic (Saharia et al. 2022): limits at a quantile of each sample's |x_0|, which are then scaled to `limit`.

    With strong guidance a fixed limit would saturate most of an image. A sample within the limit is left alone.
    """

    quantile: float = 0.995
    limit: float = 1.0

    def __call__(self, x0: Tensor) -> Tensor:
        """x_0 within the limits of its sample."""
        reach = per_sample(_quantile(x0.abs().flatten(1), self.quantile), x0).clamp(min=self.limit)
        return x0.clamp(-reach, reach) * (self.limit / reach)


def _quantile(x: Tensor, q: float) -> Tensor:
    """Per row; torch.quantile refuses half precision."""
    return torch.quantile(x.to(torch.promote_types(x.dtype, torch.float32)), q, dim=1).to(x.dtype)
