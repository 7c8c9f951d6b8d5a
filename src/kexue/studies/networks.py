"""Small networks for the studies of diffusion, and the one loop that trains them.

    h = x W + T(t),    h <- h + W'' silu(W' norm(h)),    out = norm(h) W'''

A residual perceptron: on 8 x 8 digits a step takes milliseconds, so that many trainings with several seeds fit into
minutes. What differs between two trainings is an argument; everything else, the order of the data too, is the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from kexue.diffusion import EPS, ArticleSchedule, Denoiser, NetworkDenoiser, Parameterization, Schedule

NUM_TIMES = 1000
NORMS: dict[str, Callable[[int], nn.Module]] = {"layer": nn.LayerNorm, "batch": nn.BatchNorm1d, "none": nn.Identity}
SCHEDULE = ArticleSchedule()
Loss = Callable[[Denoiser, Tensor, torch.Generator], Tensor]
"""loss(denoise, x0, generator) -> a number."""


@dataclass(frozen=True)
class Form:
    """Of a network: width, blocks, `norm` as in `NORMS`, times as a table of trained vectors or as waves."""

    width: int = 256
    blocks: int = 3
    norm: str = "layer"
    table: bool = False


class Perceptron(nn.Module):
    """network(x_t, t) for x_t of any shape that holds `dim` numbers a sample."""

    def __init__(self, dim: int, form: Form) -> None:
        super().__init__()
        width = form.width
        self.inner = nn.Linear(dim, width)
        self.times = nn.Embedding(NUM_TIMES + 1, width) if form.table else Waves(width)
        self.blocks = nn.ModuleList(
            nn.Sequential(NORMS[form.norm](width), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
            for _ in range(form.blocks)
        )
        self.shifts = nn.ModuleList(nn.Linear(width, width) for _ in range(form.blocks))
        self.outer = nn.Sequential(NORMS[form.norm](width), nn.Linear(width, dim))

    def forward(self, x_t: Tensor, t: Tensor) -> Tensor:
        """What the parameterization says."""
        place = t * NUM_TIMES
        times = self.times(place.round().long() if isinstance(self.times, nn.Embedding) else place)
        h = self.inner(x_t.flatten(1))
        for block, shift in zip(self.blocks, self.shifts, strict=True):
            h = h + block(h + shift(times))
        out: Tensor = self.outer(h).reshape(x_t.shape)
        return out


class Waves(nn.Module):
    """Sines and cosines of the time, through a layer."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("rates", torch.exp(-math.log(10000) * torch.arange(width // 2) / (width // 2)))
        self.mix = nn.Sequential(nn.Linear(2 * (width // 2), width), nn.SiLU())

    def forward(self, place: Tensor) -> Tensor:
        """place[batch] to [batch, width]."""
        angles = place[:, None].to(self.rates.dtype) * self.rates
        mixed: Tensor = self.mix(torch.cat((angles.sin(), angles.cos()), 1))
        return mixed


@dataclass(frozen=True)
class Training:
    """Steps of Adam, whose rate falls as a cosine, on batches drawn anew; the mean of the weights is kept."""

    steps: int = 3000
    batch_size: int = 128
    learning_rate: float = 1e-3
    ema: float = 0.995


def train(
    network: nn.Module,
    loss: Loss,
    x: Tensor,
    training: Training,
    seed: int,
    *,
    schedule: Schedule = SCHEDULE,
    parameterization: Parameterization = EPS,
) -> NetworkDenoiser:
    """The denoiser after training on x[num, ...], where that lies."""
    network = network.to(x.device).train()
    average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(training.ema), use_buffers=True)
    optimizer = torch.optim.Adam(network.parameters(), training.learning_rate)
    rate = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, training.steps)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(training.steps):
        chosen = torch.randint(len(x), (training.batch_size,), generator=generator).to(x.device)
        optimizer.zero_grad()
        loss(NetworkDenoiser(network, schedule, parameterization), x[chosen], generator).backward()
        optimizer.step()
        average.update_parameters(network)
        rate.step()
    return NetworkDenoiser(average.module.eval().requires_grad_(False), schedule, parameterization)


def make(dim: int, form: Form, seed: int) -> Perceptron:
    """A network whose weights the seed decides."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Perceptron(dim, form)


def draw_times(num: int, generator: torch.Generator, device: torch.device, chain: Tensor | None = None) -> Tensor:
    """Times [num] of the chain of 1000 steps, each as likely, or of another chain."""
    times = (torch.arange(NUM_TIMES) + 1) / NUM_TIMES if chain is None else chain.float()
    return times[torch.randint(len(times), (num,), generator=generator)].to(device)


def draw_noise(x: Tensor, generator: torch.Generator) -> Tensor:
    """N(0, 1) like x, from a generator on the CPU, so that it is the same on every device."""
    return torch.randn(x.shape, generator=generator, dtype=x.dtype).to(x.device)
