"""The likelihood as the code of Song et al. 2021 computes it: one probe, all samples one equation of scipy's RK45."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from kexue.diffusion.prediction import Denoiser
from kexue.diffusion.schedules import Schedule

FIRST_TIME = 1e-5
TOLERANCE = 1e-5


def one_probe_log_likelihood(
    denoise: Denoiser, schedule: Schedule, x: Tensor, generator: torch.Generator | None = None
) -> Tensor:
    """log p of x[batch, dim] in nats: float64[batch]; float32 inside."""
    from scipy.integrate import solve_ivp

    start = x.float()
    signs = 2.0 * torch.randint(0, 2, start.shape, generator=generator) - 1
    begin = np.concatenate([start.numpy().reshape(-1), np.zeros(len(x))])
    slope = _slope(denoise, schedule, signs)
    end = solve_ivp(slope, (FIRST_TIME, 1.0), begin, rtol=TOLERANCE, atol=TOLERANCE, method="RK45").y[:, -1]
    noise, change = torch.from_numpy(end[: -len(x)]).reshape(x.shape), torch.from_numpy(end[-len(x) :])
    dim = x.shape[1]
    return change - noise.square().sum(1) / 2 - dim / 2 * math.log(2 * math.pi)


def _slope(denoise: Denoiser, schedule: Schedule, signs: Tensor) -> Callable[[float, np.ndarray], np.ndarray]:
    """d/dt of all samples and their log densities, flattened."""

    def slope(t: float, state: np.ndarray) -> np.ndarray:
        flat = torch.from_numpy(state[: signs.numel()]).float()
        x, times = flat.reshape(signs.shape).requires_grad_(), torch.full((len(signs),), t)
        f, g = (c(times)[:, None].float() for c in (schedule.drift, schedule.diffusion))
        velocity = f * x - 0.5 * g**2 * denoise(x, times).score
        (product,) = torch.autograd.grad((velocity * signs).sum(), x)
        parts = velocity.detach().reshape(-1), (product * signs).sum(1)
        return np.concatenate([part.numpy() for part in parts])

    return slope
