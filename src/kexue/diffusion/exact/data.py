"""Data whose every quantity is known in closed form, with the denoiser that is exactly right for them.

    x_0 ~ N(m, C):    x_t ~ N(alpha m, V),   V = alpha^2 C + sigma^2,   E[x_0 | x_t] = m + alpha C V^-1 (x_t - alpha m)
    a mixture:        the same per component, weighted with how probable the component is at x_t

Everything in float64. What samplers, likelihoods and networks make of such data can be held against the truth.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from kexue.diffusion.prediction import Denoiser, Prediction
from kexue.diffusion.schedules.schedule import Schedule
from kexue.diffusion.shapes import per_sample

BISECTIONS = 64


@dataclass(frozen=True, eq=False)
class GaussianData:
    """Vectors of N(mean[dim], turn diag(variances) turn^T), variances [dim], turn [dim, dim] orthogonal."""

    mean: Tensor
    variances: Tensor
    turn: Tensor

    @classmethod
    def scalar(cls, mean: float = 0.0, variance: float = 1.0) -> GaussianData:
        """One dimension."""
        return cls.diagonal([mean], [variance])

    @classmethod
    def diagonal(cls, mean: list[float], variances: list[float]) -> GaussianData:
        """Independent dimensions."""
        return cls(f64(mean), f64(variances), torch.eye(len(mean), dtype=torch.float64))

    @classmethod
    def correlated(cls, dim: int, *, decay: float = 0.8, seed: int = 0, shift: float = 0.1) -> GaussianData:
        """Dimensions with unit variance and the correlation decay^|i - j|, of mean shift times a draw of N(0, 1)."""
        place = torch.arange(dim, dtype=torch.float64)
        variances, turn = torch.linalg.eigh(decay ** (place[:, None] - place).abs())
        noise = torch.randn(dim, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
        return cls(shift * noise, variances, turn)

    @property
    def covariance(self) -> Tensor:
        """C[dim, dim]."""
        return self.turn * self.variances @ self.turn.T

    def sample(self, num: int, seed: int = 0) -> Tensor:
        """Draws [num, dim]."""
        noise = torch.randn(num, len(self.mean), dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
        return self.mean + noise * self.variances.sqrt() @ self.turn.T

    def log_prob(self, x: Tensor) -> Tensor:
        """log density of x[batch, dim] in nats: [batch]."""
        turned = (x - self.mean) @ self.turn
        return -(turned.square() / self.variances + (2 * math.pi * self.variances).log()).sum(-1) / 2

    def at(self, schedule: Schedule, t: float) -> GaussianData:
        """The law of x_t."""
        alpha, sigma = at(schedule, t)
        return GaussianData(alpha * self.mean, alpha**2 * self.variances + sigma**2, self.turn)

    def denoiser(self, schedule: Schedule) -> Denoiser:
        """The exact denoiser; samples of any shape are taken as the vector of their values."""

        def denoise(x_t: Tensor, t: Tensor) -> Prediction:
            alpha, sigma = (per_sample(c, x_t.flatten(1)) for c in (schedule.alpha(t), schedule.sigma(t)))
            turn, mean = self.turn.to(x_t.dtype), self.mean.to(x_t.dtype)
            shrink = (sigma / (alpha**2 * self.variances + sigma**2)).to(x_t.dtype)
            eps = ((x_t.flatten(1) - alpha.to(x_t.dtype) * mean) @ turn * shrink) @ turn.T
            return Prediction.from_eps(
                eps.reshape(x_t.shape), x_t, per_sample(alpha[:, 0], x_t), per_sample(sigma[:, 0], x_t)
            )

        return denoise


@dataclass(frozen=True, eq=False)
class MixtureData:
    """Vectors of a mixture of N(means[k, dim], stds[k]^2) with the shares weights[k]."""

    weights: Tensor
    means: Tensor
    stds: Tensor

    @classmethod
    def three_modes(cls) -> MixtureData:
        """One dimension, three unequal modes."""
        return cls(f64([0.5, 0.3, 0.2]), f64([[-1.0], [0.5], [1.5]]), f64([0.2, 0.1, 0.3]))

    def sample(self, num: int, seed: int = 0) -> Tensor:
        """Draws [num, dim]."""
        generator = torch.Generator().manual_seed(seed)
        k = torch.multinomial(self.weights, num, replacement=True, generator=generator)
        noise = torch.randn(num, self.means.shape[1], dtype=torch.float64, generator=generator)
        return self.means[k] + self.stds[k, None] * noise

    def log_prob(self, x: Tensor) -> Tensor:
        """log density of x[batch, dim] in nats: [batch]."""
        return self._joint(x, self.means, self.stds.square()[:, None]).logsumexp(-1)

    def at(self, schedule: Schedule, t: float) -> MixtureData:
        """The law of x_t."""
        alpha, sigma = at(schedule, t)
        return MixtureData(self.weights, alpha * self.means, (alpha**2 * self.stds**2 + sigma**2).sqrt())

    def quantiles(self, levels: Tensor) -> Tensor:
        """Of data in one dimension, by bisection: float64 of the shape of `levels`, which lie within (0, 1)."""
        reach = 10 * float(self.stds.max()) + float(self.means.abs().max())
        low, high = torch.full_like(levels, -reach), torch.full_like(levels, reach)
        for _ in range(BISECTIONS):
            middle = (low + high) / 2
            below = self._cumulative(middle) < levels
            low, high = torch.where(below, middle, low), torch.where(below, high, middle)
        return (low + high) / 2

    def _cumulative(self, x: Tensor) -> Tensor:
        share: Tensor = torch.special.ndtr((x[..., None] - self.means[:, 0]) / self.stds)
        return (self.weights * share).sum(-1)

    def denoiser(self, schedule: Schedule) -> Denoiser:
        """The exact denoiser of vectors."""

        def denoise(x_t: Tensor, t: Tensor) -> Prediction:
            alpha, sigma = schedule.alpha(t)[:, None], schedule.sigma(t)[:, None]
            variances = alpha**2 * self.stds**2 + sigma**2
            x = x_t.double()
            share = self._joint(x, alpha[..., None] * self.means, variances[..., None]).softmax(-1)
            eps = (sigma / variances)[..., None] * (x[:, None] - alpha[..., None] * self.means)
            return Prediction.from_eps((share[..., None] * eps).sum(1).to(x_t.dtype), x_t, alpha, sigma)

        return denoise

    def _joint(self, x: Tensor, means: Tensor, variances: Tensor) -> Tensor:
        """log of share and density of each component: [batch, k]."""
        distance = (x[:, None] - means).square() / variances + (2 * math.pi * variances).log()
        return self.weights.log() - distance.sum(-1) / 2


def at(schedule: Schedule, t: float) -> tuple[float, float]:
    """alpha and sigma."""
    return float(schedule.alpha(f64(t))), float(schedule.sigma(f64(t)))


def f64(values: object) -> Tensor:
    """Numbers as float64."""
    return torch.tensor(values, dtype=torch.float64)
