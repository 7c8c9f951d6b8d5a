"""How far samples in one dimension are from the law of the data: Wasserstein distances by quantiles."""

from __future__ import annotations

import torch
from torch import Tensor

from kexue.diffusion import Sampler, sample
from kexue.diffusion.exact import MixtureData
from kexue.diffusion.grids import TimeGrid, UniformTime
from kexue.diffusion.schedules import Schedule


def levels(num: int) -> Tensor:
    """Of `num` quantiles."""
    return (torch.arange(num, dtype=torch.float64) + 0.5) / num


def wasserstein(x: Tensor, data: MixtureData) -> tuple[float, float]:
    """W1 and W2 of samples [num, 1] to the data."""
    away = x.double().flatten().sort().values - data.quantiles(levels(len(x)))
    return float(away.abs().mean()), float(away.square().mean().sqrt())


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
