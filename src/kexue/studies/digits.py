"""The digits of the package, 8 x 8, as what a generator learns and is judged on.

Judged by numbers that are the same for every study:

    distance    Frechet distance of samples and held-out digits in the features of a small classifier
    noise       mean distance to the nearest training digit, over that of held-out digits; 1 is right
    spread      total variance over that of the data; 1 is right
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
import torch
from torch import Tensor, nn

from kexue.diffusion import Denoiser, Sampler, sample
from kexue.diffusion.bits import Bins
from kexue.diffusion.grids import TimeGrid, UniformTime
from kexue.diffusion.images.packaged import packaged_path
from kexue.diffusion.metrics import Moments, frechet_distance
from kexue.diffusion.schedules import Schedule
from kexue.studies.lab import Lab
from kexue.studies.networks import SCHEDULE

NUM_HELD_OUT = 597
CLASSIFIER_STEPS = 400
EQUAL_TIMES = UniformTime()
SHAPE = (1, 8, 8)
DIM = 64
MAX_VALUE = 16
BINS = Bins(width=2 / MAX_VALUE)


@dataclass(frozen=True)
class Quality:
    """Of samples; see the module."""

    distance: float
    noise: float
    spread: float


@dataclass(frozen=True, eq=False)
class Digits:
    """float32[num, 1, 8, 8] in [-1, 1], shuffled once, to learn from and held out; labels long[num]."""

    train: Tensor
    held_out: Tensor
    labels: Tensor

    @cached_property
    @torch.enable_grad()
    def features(self) -> nn.Module:
        """A classifier without its last layer; the same in every run."""
        with torch.random.fork_rng():
            torch.manual_seed(0)
            body = nn.Sequential(nn.Flatten(), nn.Linear(DIM, 128), nn.SiLU(), nn.Linear(128, 32), nn.SiLU())
            head = nn.Linear(32, 10)
        optimizer = torch.optim.Adam([*body.parameters(), *head.parameters()], 3e-3)
        for _ in range(CLASSIFIER_STEPS):
            optimizer.zero_grad()
            nn.functional.cross_entropy(head(body(self.train)), self.labels).backward()
            optimizer.step()
        return body.requires_grad_(False)

    @cached_property
    def truth(self) -> Moments:
        """Of the features of held-out digits."""
        return Moments.of(self.features(self.held_out))

    @cached_property
    def floor(self) -> float:
        """The distance of the training digits: no sample need be nearer."""
        return frechet_distance(Moments.of(self.features(self.train)), self.truth)

    @cached_property
    def usual_distance(self) -> float:
        """Of a held-out digit to the nearest training digit, in the mean."""
        return self._nearest(self.held_out)

    @torch.no_grad()
    def judge(self, x: Tensor) -> Quality:
        """How good samples are."""
        x = x.cpu().clamp(-1, 1)
        distance = frechet_distance(Moments.of(self.features(x)), self.truth)
        spread = x.flatten(1).var(0).sum() / self.train.flatten(1).var(0).sum()
        return Quality(distance, self._nearest(x) / self.usual_distance, float(spread))

    def _nearest(self, x: Tensor) -> float:
        return float(torch.cdist(x.flatten(1), self.train.flatten(1)).min(1).values.mean())


@cache
def digits() -> Digits:
    """Loaded once."""
    with np.load(packaged_path("digits")) as arrays:
        images, labels = torch.from_numpy(arrays["images"]), torch.from_numpy(arrays["labels"]).long()
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    x = (images[order, None].float() * (2 / MAX_VALUE)) - 1
    return Digits(x[NUM_HELD_OUT:], x[:NUM_HELD_OUT], labels[order][NUM_HELD_OUT:])


def num_drawn(lab: Lab) -> int:
    """How many samples are judged."""
    return lab.pick(40, 300, 5000)


def draw(
    denoise: Denoiser,
    sampler: Sampler,
    num_steps: int,
    num: int,
    seed: int,
    *,
    schedule: Schedule = SCHEDULE,
    grid: TimeGrid = EQUAL_TIMES,
    device: torch.device | None = None,
) -> Tensor:
    """Samples [num, 1, 8, 8] along equal steps of time; the first noise is the same for every sampler."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(num, *SHAPE, generator=generator).to(device or "cpu")
    return sample(denoise, schedule, noise, sampler, num_steps, generator, grid=grid)
