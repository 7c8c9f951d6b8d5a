"""Samplers as their papers write them: one step at a time, in float64, nothing planned, nothing fused.

Each takes eps(x, t), the schedule and falling times, and noise(k) for its k-th draw; the last step adds none.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor

from kexue.diffusion.schedules import Schedule

Eps = Callable[[Tensor, float], Tensor]
Noise = Callable[[int], Tensor]


def at(schedule: Schedule, t: float) -> tuple[float, float]:
    """alpha and sigma."""
    time = torch.tensor(t, dtype=torch.float64)
    return float(schedule.alpha(time)), float(schedule.sigma(time))


def ddim(eps: Eps, schedule: Schedule, times: list[float], x: Tensor, noise: Noise, eta: float) -> Tensor:
    """Song, Meng, Ermon 2020, equations 12 and 16; for any alpha and sigma."""
    for k, (t, s) in enumerate(pairwise(times)):
        (alpha, sigma), (alpha_s, sigma_s) = at(schedule, t), at(schedule, s)
        e = eps(x, t)
        forward = sigma**2 - (alpha / alpha_s) ** 2 * sigma_s**2
        std = eta * sigma_s / sigma * forward**0.5
        x = alpha_s * (x - sigma * e) / alpha + max(sigma_s**2 - std**2, 0) ** 0.5 * e
        x = x + std * noise(k) if s != times[-1] else x
    return x


def ancestral(eps: Eps, schedule: Schedule, times: list[float], x: Tensor, noise: Noise) -> Tensor:
    """Ho et al. 2020, algorithm 2 with sigma^2 = beta; mean of q(x_s | x_t, x_0)."""
    for k, (t, s) in enumerate(pairwise(times)):
        (alpha, sigma), (alpha_s, sigma_s) = at(schedule, t), at(schedule, s)
        forward = sigma**2 - (alpha / alpha_s) ** 2 * sigma_s**2
        x0 = (x - sigma * eps(x, t)) / alpha
        x = (alpha / alpha_s) * sigma_s**2 / sigma**2 * x + alpha_s * forward / sigma**2 * x0
        x = x + forward**0.5 * noise(k) if s != times[-1] else x
    return x


def reverse_sde(eps: Eps, schedule: Schedule, times: list[float], x: Tensor, noise: Noise) -> Tensor:
    """Su, kexue.fm/archives/9209: x - [f x - g^2 score] h + g sqrt(h) z."""
    for k, (t, s) in enumerate(pairwise(times)):
        time = torch.tensor(t, dtype=torch.float64)
        f, g = float(schedule.drift(time)), float(schedule.diffusion(time))
        score = -eps(x, t) / at(schedule, t)[1]
        x = x - (f * x - g**2 * score) * (t - s)
        x = x + g * (t - s) ** 0.5 * noise(k) if s != times[-1] else x
    return x


def reverse_diffusion(
    eps: Eps, schedule: Schedule, times: list[float], x: Tensor, noise: Noise, snr: float | None = None
) -> Tensor:
    """Song et al. 2021, algorithms 2 and 3; with an snr a Langevin step of 2 (snr sigma)^2 after each but the last."""
    k = 0
    for t, s in pairwise(times):
        (alpha, sigma), (alpha_s, sigma_s) = at(schedule, t), at(schedule, s)
        f = alpha / alpha_s - 1
        g = (sigma**2 - (alpha / alpha_s) ** 2 * sigma_s**2) ** 0.5
        x = x - f * x + g**2 * (-eps(x, t) / sigma)
        if s == times[-1]:
            break
        x = x + g * noise(k)
        k += 1
        if snr is not None:
            step = 2 * (snr * sigma_s) ** 2
            x = x + step * (-eps(x, s) / sigma_s) + (2 * step) ** 0.5 * noise(k)
            k += 1
    return x


def flow(eps: Eps, schedule: Schedule, t: float, x: Tensor) -> Tensor:
    """dx/dt = f x - g^2 score / 2 (Song et al. 2021, equation 13)."""
    time = torch.tensor(t, dtype=torch.float64)
    f, g = float(schedule.drift(time)), float(schedule.diffusion(time))
    return f * x + g**2 / 2 * eps(x, t) / at(schedule, t)[1]


def euler(eps: Eps, schedule: Schedule, times: list[float], x: Tensor) -> Tensor:
    """Euler's method."""
    for t, s in pairwise(times):
        x = x + (s - t) * flow(eps, schedule, t, x)
    return x


def heun(eps: Eps, schedule: Schedule, times: list[float], x: Tensor) -> Tensor:
    """Heun's method; Euler's for a step to 0."""
    for t, s in pairwise(times):
        slope = flow(eps, schedule, t, x)
        there = x + (s - t) * slope
        x = there if s == 0 else x + (s - t) * (slope + flow(eps, schedule, s, there)) / 2
    return x


def dpm_solver_2m(eps: Eps, schedule: Schedule, times: list[float], x: Tensor) -> Tensor:
    """Lu et al. 2022 (DPM-Solver++), algorithm 2; first order at both ends."""
    before: Tensor | None = None
    length_before = 0.0
    for t, s in pairwise(times):
        (alpha, sigma), (alpha_s, sigma_s) = at(schedule, t), at(schedule, s)
        x0 = (x - sigma * eps(x, t)) / alpha
        if s == 0:
            return alpha_s * x0
        length = math.log(alpha_s / sigma_s) - math.log(alpha / sigma)
        data = x0
        if before is not None:
            r = length_before / length
            data = (1 + 1 / (2 * r)) * x0 - 1 / (2 * r) * before
        x = sigma_s / sigma * x - alpha_s * (math.exp(-length) - 1) * data
        before, length_before = x0, length
    return x


def sde_dpm_solver_2m(eps: Eps, schedule: Schedule, times: list[float], x: Tensor, noise: Noise) -> Tensor:
    """Lu et al. 2022 (DPM-Solver++), algorithm 3, with the difference of answers; DDPM's first step at both ends."""
    before: Tensor | None = None
    length_before = 0.0
    for k, (t, s) in enumerate(pairwise(times)):
        (alpha, sigma), (alpha_s, sigma_s) = at(schedule, t), at(schedule, s)
        x0 = (x - sigma * eps(x, t)) / alpha
        if s == 0:
            return alpha_s * x0
        length = math.log(alpha_s / sigma_s) - math.log(alpha / sigma)
        fresh = 1 - math.exp(-2 * length)
        x = sigma_s / sigma * math.exp(-length) * x + alpha_s * fresh * x0
        if before is not None:
            x = x + alpha_s * fresh / 2 * (x0 - before) * length / length_before
        x = x + sigma_s * math.sqrt(fresh) * noise(k)
        before, length_before = x0, length
    return x


def adams(
    eps: Eps, schedule: Schedule, times: list[float], x: Tensor, noise: Noise, data_std: float, eta: float
) -> Tensor:
    """x_0 as a polynomial in the cosine of arctan(sigma / (alpha data_std)), integrated exactly; each step taken again.

    Integrated by the midpoint rule with many points, in place of a formula; polynomials by solving for coefficients.
    Between its ends a step goes on as it began: of x it keeps sigma_c / sigma (c_t / c)^d at c = alpha / sigma.
    """

    def cosine(c: Tensor) -> Tensor:
        return torch.atan2(torch.ones_like(c), c * data_std).cos()

    def step(i: int, x: Tensor, nodes: list[float], answers: list[Tensor]) -> Tensor:
        """From time i to the next, without noise."""
        (alpha, sigma), (alpha_s, sigma_s) = at(schedule, times[i]), at(schedule, times[i + 1])
        kept = max(sigma_s**2 - spread(i) ** 2, 0) ** 0.5 / sigma_s
        start, end = alpha / sigma, alpha_s / sigma_s
        d = math.log(kept) / math.log(start / end)
        powers = cosine(torch.tensor(nodes, dtype=torch.float64))[:, None] ** torch.arange(len(nodes))
        coefficients = torch.linalg.solve(powers, torch.stack(answers).flatten(1))
        c = torch.tensor([start, end], dtype=torch.float64).asinh()
        edges = torch.lerp(c[0], c[1], torch.linspace(0, 1, 200_001, dtype=torch.float64))
        middles, widths = ((edges[1:] + edges[:-1]) / 2).sinh(), edges.sinh().diff()
        values = (1 + d) * (middles[:, None] / end) ** d * cosine(middles)[:, None] ** torch.arange(len(nodes))
        return sigma_s / sigma * kept * x + sigma_s * (widths @ values @ coefficients).reshape(x.shape)

    def spread(i: int) -> float:
        (alpha, sigma), (alpha_s, sigma_s) = at(schedule, times[i]), at(schedule, times[i + 1])
        return eta * sigma_s / sigma * (sigma**2 - (alpha / alpha_s) ** 2 * sigma_s**2) ** 0.5

    answers: list[Tensor] = []
    nodes: list[float] = []
    anchor, fresh = x, torch.zeros_like(x)
    for i, t in enumerate(times[:-1]):
        alpha, sigma = at(schedule, t)
        answers.insert(0, (x - sigma * eps(x, t)) / alpha)
        nodes.insert(0, alpha / sigma)
        anchor = step(i - 1, anchor, nodes[:3], answers[:3]) + fresh if i else x
        fresh = spread(i) * noise(i) if eta and i < len(times) - 2 else torch.zeros_like(x)
        x = step(i, anchor, nodes[:2], answers[:2]) + fresh
    return x
