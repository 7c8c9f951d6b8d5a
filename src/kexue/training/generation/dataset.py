"""Images to batches: which images a step takes, and which noise, depends on (seed, epoch, step) alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from kexue.diffusion.images import ImageSet
from kexue.training.order import Place


@dataclass(frozen=True, eq=False)
class Collator:
    """Places to the arguments of the model's `forward`."""

    images: ImageSet
    conditional: bool

    def __call__(self, places: Sequence[Place]) -> dict[str, Tensor]:
        """x0 float[batch, channels, height, width], labels long[batch] if they are wanted, place long[batch, 3]."""
        table = torch.tensor(places)
        chosen = table[:, 0].numpy()
        batch = {"x0": self.images.scale.encode(self.images.pixels[chosen]), "place": table[:, 1:]}
        if self.conditional and self.images.labels is not None:
            batch["labels"] = torch.from_numpy(self.images.labels[chosen])
        return batch


class Draws(NamedTuple):
    """What chance decides for the images of a batch."""

    t: Tensor
    eps: Tensor
    mirrored: Tensor
    labelled: Tensor

    def rows(self, rows: Tensor) -> Draws:
        """Of some rows."""
        return Draws(*(values[rows] for values in self))


def draw(seed: int, epoch: int, batch: int, shape: Sequence[int], device: torch.device, label_dropout: float) -> Draws:
    """The draws of all rows of a batch of `shape`.

    Times are evenly spread over (0, 1], shifted together by chance: each is uniform, and the loss of a batch varies
    less than with independent ones (Kingma et al. 2021).
    """
    state = np.random.SeedSequence((seed, epoch, batch)).generate_state(1, np.uint64)
    generator = torch.Generator(device).manual_seed(int(state[0]))
    uniform = torch.rand(1 + 2 * shape[0], generator=generator, device=device, dtype=torch.float64)
    spread = torch.arange(shape[0], device=device, dtype=torch.float64) / shape[0]
    mirrored, labelled = uniform[1:].chunk(2)
    return Draws(
        1 - (uniform[0] + spread) % 1,
        torch.randn(tuple(shape), generator=generator, device=device),
        mirrored < 0.5,
        labelled >= label_dropout,
    )
