"""Laws in one dimension: how far samples are from one, by quantiles, and its expectations, by the trapezoid rule."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from kexue.diffusion import Sampler, sample
from kexue.diffusion.exact import MixtureData
from kexue.diffusion.grids import TimeGrid, UniformTime
from kexue.diffusion.schedules import Schedule

SETS = 20
POINTS = 2001
REACH = 12.0
"""Standard deviations beyond the means up to which there are points."""


def levels(num: int) -> Tensor:
    """Of `num` quantiles."""
    return (torch.arange(num, dtype=torch.float64) + 0.5) / num


def wasserstein(x: Tensor, data: MixtureData) -> tuple[float, float]:
    """W1 and W2 of samples [num, 1] to the data."""
    away = x.double().flatten().sort().values - data.quantiles(levels(len(x)))
    return float(away.abs().mean()), float(away.square().mean().sqrt())


def usual_distance(data: MixtureData, num: int, seed: int) -> float:
    """W2 of `num` draws of the data themselves: root mean square over 20 sets of draws.

    Of modes that lie apart it is large, as chance decides how many draws each gets.
    """
    distances = [wasserstein(data.sample(num, seed=SETS * seed + index), data)[1] for index in range(SETS)]
    return math.sqrt(sum(distance**2 for distance in distances) / SETS)


def sampled(
    data: MixtureData,
    schedule: Schedule,
    sampler: Sampler,
    num_steps: int,
    num: int,
    generator: torch.Generator,
    grid: TimeGrid | None = None,
) -> Tensor:
    """Samples float64[num, 1] with the exact denoiser, begun at the quantiles of N(0, 1) in a random order."""
    noise = torch.special.ndtri(levels(num))[torch.randperm(num, generator=generator), None]
    grid = grid or UniformTime()
    return sample(data.denoiser(schedule), schedule, noise, sampler, num_steps, generator, grid=grid)


def sampled_distance(
    data: MixtureData, schedule: Schedule, sampler: Sampler, num_steps: int, num: int, generator: torch.Generator
) -> float:
    """W2 to the data of what `sampled` gives."""
    return wasserstein(sampled(data, schedule, sampler, num_steps, num, generator), data)[1]


def grid_over(data: MixtureData) -> tuple[Tensor, Tensor]:
    """Points [POINTS, 1] that hold all of the law, and their share of it times the distance to the next."""
    far = float((data.means[:, 0].abs() + REACH * data.stds).max())
    x = torch.linspace(-far, far, POINTS, dtype=torch.float64)[:, None]
    return x, data.log_prob(x).exp() * (x[1, 0] - x[0, 0])


def entropy(data: MixtureData) -> float:
    """-E log p, which no bound is below."""
    x, share = grid_over(data)
    return float(-(share * data.log_prob(x)).sum())


def second_moment(data: MixtureData) -> float:
    """E x_0^2."""
    return float((data.weights * (data.means[:, 0].square() + data.stds.square())).sum())


def uncertainty(data: MixtureData, schedule: Schedule, t: float) -> float:
    """u(t) of the exact denoiser: E x_0^2 - E x_0(x_t)^2, by the trapezoid rule."""
    x, share = grid_over(data.at(schedule, t))
    said = data.denoiser(schedule)(x, torch.full((len(x),), t, dtype=torch.float64)).x0[:, 0]
    return second_moment(data) - float((share * said.square()).sum())
