"""The variance that is right: what x_0 is not known of adds to the noise of the step.

    noise^2 = n^2 + gamma^2 u,    gamma = alpha_s - alpha_t sqrt(sigma_s^2 - n^2) / sigma_t

with n the noise of DDIM(eta) and u = E|x_0 - x_0(x_t)|^2 / d. For Gaussian data and the true u the law of every x_s is
exact at any number of steps. Bao et al. 2022 (Analytic-DPM); Su, kexue.fm/archives/9245 (2022).

They estimate u as (1 - E|eps|^2/d) sigma^2/alpha^2 or as E|x_0 - m|^2/d - E|x_0(x_t) - m|^2/d, differences of nearly
equal numbers at one end or the other. The mean square of what the network misses is the same number if the network is
right, is what has to be added if it is not, and is never negative.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from kexue.diffusion.grids import ANGLES, TimeGrid
from kexue.diffusion.prediction import Denoiser
from kexue.diffusion.randomness import Generators, standard_normal
from kexue.diffusion.samplers.ddim import check_eta, kept_noise, posterior_noise
from kexue.diffusion.samplers.sampler import Columns, OneRowSampler
from kexue.diffusion.schedules import Schedule
from kexue.errors import OptionError


class Uncertainty(ABC):
    """How little x_t says about x_0."""

    @abstractmethod
    def variance(self, schedule: Schedule, t: Tensor) -> Tensor:
        """Mean over coordinates of Var[x_0 | x_t]: float64 of the shape of t."""


@dataclass(frozen=True)
class GaussianUncertainty(Uncertainty):
    """Of data N(m, data_variance I): data_variance sigma^2 / (alpha^2 data_variance + sigma^2)."""

    data_variance: float = 1.0

    def variance(self, schedule: Schedule, t: Tensor) -> Tensor:
        """In closed form."""
        noise = schedule.sigma(t).square()
        return self.data_variance * noise / (schedule.alpha(t).square() * self.data_variance + noise)


@dataclass(frozen=True)
class MeasuredUncertainty(Uncertainty):
    """Measured at some signal-to-noise ratios (falling), its logarithm linear in theirs between.

    Beyond the last measured one it stays what it is; before the first it falls as 1/SNR, as sigma does.
    """

    log_snr: Sequence[float]
    log_variance: Sequence[float]

    def __post_init__(self) -> None:
        if len(self.log_snr) != len(self.log_variance) or len(self.log_snr) < 2:
            raise OptionError(
                f"at least two measurements, and as many log_snr as log_variance, are needed; "
                f"got {len(self.log_snr)} and {len(self.log_variance)}"
            )

    def variance(self, schedule: Schedule, t: Tensor) -> Tensor:
        """Interpolated."""
        place = schedule.log_snr(t)
        nodes, values = (torch.tensor(v, dtype=torch.float64).flip(0) for v in (self.log_snr, self.log_variance))
        right = torch.searchsorted(nodes, place.contiguous()).clamp(1, len(nodes) - 1)
        inner = place.clamp(nodes[0], nodes[-1])
        share = (inner - nodes[right - 1]) / (nodes[right] - nodes[right - 1])
        return torch.exp(torch.lerp(values[right - 1], values[right], share) - (place - nodes[-1]).clamp(min=0))


UNIT_GAUSSIAN = GaussianUncertainty()


@dataclass(frozen=True)
class AnalyticDPM(OneRowSampler):
    """DDIM(eta) with the variance that x_0's uncertainty adds; stochastic for every eta."""

    uncertainty: Uncertainty = UNIT_GAUSSIAN
    eta: float = 1.0

    grid: ClassVar[TimeGrid] = ANGLES

    def __post_init__(self) -> None:
        check_eta(self.eta)

    @property
    def stochastic(self) -> bool:
        """Always."""
        return True

    def columns(self, schedule: Schedule, t: Tensor, s: Tensor) -> Columns:
        """Those of DDIM(eta), but the noise."""
        alpha = schedule.alpha(s)
        own = posterior_noise(schedule, t, s, self.eta)
        kept = kept_noise(schedule.sigma(s), own)
        gamma = alpha - schedule.alpha(t) * kept / schedule.sigma(t)
        noise = torch.sqrt(own.square() + gamma.square() * self.uncertainty.variance(schedule, t))
        return Columns(on_x0=alpha, on_eps=kept, noise=noise)


@torch.no_grad()
def measure_uncertainty(
    denoise: Denoiser, schedule: Schedule, x0: Tensor, times: Tensor, generator: Generators = None
) -> MeasuredUncertainty:
    """E|x_0 - x_0(x_t)|^2 / d at each of `times` (rising or falling, all within (0, 1]) over data x0[batch, ...].

    Raises OptionError for a time at which there is no noise or no signal.
    """
    times = times.to(torch.float64).sort().values
    log_snr = schedule.log_snr(times)
    if not bool(log_snr.isfinite().all()):
        raise OptionError("uncertainty is measured where there are both signal and noise: leave out t=0 and alpha=0")
    variance = [_missed(denoise, schedule, x0, t, generator) for t in times]
    return MeasuredUncertainty(tuple(log_snr.tolist()), tuple(torch.stack(variance).log().tolist()))


def _missed(denoise: Denoiser, schedule: Schedule, x0: Tensor, t: Tensor, generator: Generators) -> Tensor:
    batch_t = torch.full((len(x0),), float(t), dtype=x0.dtype, device=x0.device)
    eps = standard_normal(x0.shape, generator, dtype=x0.dtype, device=x0.device)
    return (x0 - denoise(schedule.add_noise(x0, eps, batch_t), batch_t).x0).double().square().mean().cpu()
