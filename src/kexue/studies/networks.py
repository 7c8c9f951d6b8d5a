"""Small networks for the studies of diffusion, and the one loop that trains them.

    h = x W,    h <- h + W'' silu(W' norm(h + T(t))),    out = norm(h) W''' + g(t) x

A residual perceptron: on 8 x 8 digits a step takes milliseconds, so that many trainings with several seeds fit into
minutes. What differs between two trainings is an argument; everything else, the order of the data too, is the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from safetensors.torch import load_file, save
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from kexue.diffusion import EPS, ArticleLimit, Denoiser, NetworkDenoiser, Parameterization, Schedule, training_loss
from kexue.diffusion.objectives import Objective
from kexue.files import atomic_write
from kexue.studies.lab import Lab

NUM_TIMES = 1000
EVERY = 10
NORMS: dict[str, Callable[[int], nn.Module]] = {"layer": nn.LayerNorm, "batch": nn.BatchNorm1d, "none": nn.Identity}
SCHEDULE = ArticleLimit()
"""exp(-5 t^2): what a chain of 1000 steps tends to, and quicker to compute."""
Loss = Callable[[Denoiser, Tensor, torch.Generator], Tensor]
"""loss(denoise, x0, generator) -> a number."""


@dataclass(frozen=True)
class Form:
    """Of a network: width, blocks, `norm` as in `NORMS`, times as a table of trained vectors or as waves."""

    width: int = 128
    blocks: int = 2
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
        self.gate = nn.Linear(width, 1)

    def forward(self, x_t: Tensor, t: Tensor) -> Tensor:
        """What the parameterization says."""
        place = t * NUM_TIMES
        times = self.times(place.round().long() if isinstance(self.times, nn.Embedding) else place)
        h = self.inner(x_t.flatten(1))
        for block, shift in zip(self.blocks, self.shifts, strict=True):
            h = h + block(h + shift(times))
        out: Tensor = self.outer(h) + self.gate(times) * x_t.flatten(1)
        return out.reshape(x_t.shape)


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
    """Steps of Adam, whose rate falls as a cosine, on batches drawn anew; a moving mean of the weights is kept.

    The mean takes in every `EVERY`th step, with `ema` as its decay.
    """

    steps: int = 600
    batch_size: int = 64
    learning_rate: float = 3e-3
    ema: float = 0.95


def train(
    network: nn.Module,
    loss: Loss,
    x: Tensor,
    training: Training,
    seed: int,
    *,
    schedule: Schedule = SCHEDULE,
    parameterization: Parameterization = EPS,
) -> tuple[NetworkDenoiser, nn.Module]:
    """The denoiser after training on x[num, ...], where that lies, and its network."""
    network = network.to(x.device).train()
    average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(training.ema), use_buffers=True)
    optimizer = torch.optim.Adam(network.parameters(), training.learning_rate, fused=True)
    rate = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, training.steps)
    generator = torch.Generator().manual_seed(seed)
    for step in range(training.steps):
        chosen = torch.randint(len(x), (training.batch_size,), generator=generator).to(x.device)
        optimizer.zero_grad()
        loss(NetworkDenoiser(network, schedule, parameterization), x[chosen], generator).backward()
        optimizer.step()
        rate.step()
        if step % EVERY == 0:
            average.update_parameters(network)
    mean: nn.Module = average.module.eval().requires_grad_(False)
    return NetworkDenoiser(mean, schedule, parameterization), mean


def sized(lab: Lab, form: Form | None = None) -> tuple[Form, Training]:
    """The form and its training at the scale of a run: a shadow of it, itself, or wide and deep."""
    form = form or Form()
    quick = replace(form, width=32, blocks=1), Training(20, 16)
    long = replace(form, width=6 * form.width, blocks=2 * form.blocks), Training(20_000, 128)
    return lab.pick(quick, (form, Training()), long)


def loss_of(objective: Objective, *, scale: float = 1.0, chain: Tensor | None = None) -> Loss:
    """The mean loss of an objective at times of the chain of 1000 steps, or of another."""

    def loss(denoise: Denoiser, x0: Tensor, generator: torch.Generator) -> Tensor:
        t = draw_times(len(x0), generator, x0.device, chain)
        return scale * training_loss(denoise, SCHEDULE, objective, x0, t, draw_noise(x0, generator)).mean()

    return loss


def make(dim: int, form: Form, seed: int) -> Perceptron:
    """A network whose weights the seed decides."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Perceptron(dim, form)


def load_or_train(
    lab: Lab,
    name: str,
    loss: Loss,
    x: Tensor,
    seed: int,
    form: Form | None = None,
    parameterization: Parameterization = EPS,
) -> NetworkDenoiser:
    """As `train` at the scale of the run, or as any study that wrote into the same folder has trained it.

    The name says what is learnt; form, scale, seed and device are added to it.
    """
    own, training = sized(lab, form)
    network = make(x[0].numel(), own, seed)
    kind = f"{name}-{own.norm}-{'table' if own.table else 'waves'}-{lab.options.scale}-{lab.device.type}-{seed}"
    path = lab.options.output / "networks" / f"{kind.replace(' ', '_').replace(',', '')}.safetensors"
    if path.exists():
        network.load_state_dict(load_file(path))
        network = network.to(x.device).eval().requires_grad_(False)
        return NetworkDenoiser(network, SCHEDULE, parameterization)
    denoise, network = train(network, loss, x, training, seed, parameterization=parameterization)
    path.parent.mkdir(exist_ok=True)
    with atomic_write(path, binary=True) as file:
        file.write(save({key: value.cpu().contiguous() for key, value in network.state_dict().items()}))
    return denoise


def draw_times(num: int, generator: torch.Generator, device: torch.device, chain: Tensor | None = None) -> Tensor:
    """Times [num] of the chain of 1000 steps, each as likely, or of another chain."""
    times = (torch.arange(NUM_TIMES) + 1) / NUM_TIMES if chain is None else chain.float()
    return times[torch.randint(len(times), (num,), generator=generator)].to(device)


def draw_noise(x: Tensor, generator: torch.Generator) -> Tensor:
    """N(0, 1) like x, from a generator on the CPU, so that it is the same on every device."""
    return torch.randn(x.shape, generator=generator, dtype=x.dtype).to(x.device)
