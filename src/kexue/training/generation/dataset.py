"""Images to batches: which images a step takes, and which noise, depends on (seed, epoch, step) alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from kexue.diffusion.images import ImageSet
from kexue.training.generation.recipe import GenerationRecipe
from kexue.training.order import Place


class ImageTable:
    """The pixels and classes of a set as tensors that batches are looked up in: on the GPU if they fit there."""

    def __init__(self, images: ImageSet, device: torch.device) -> None:
        self.device = device
        self.scale = images.scale
        self.num_classes = len(images.label_names)
        place = device if fits(images.pixels.nbytes, device) else torch.device("cpu")
        self._pixels = torch.from_numpy(images.pixels).to(place)
        self._labels = None if images.labels is None else torch.from_numpy(images.labels).to(place)

    def x0(self, chosen: Tensor) -> Tensor:
        """float[batch, channels, height, width] in [-1, 1] of the images at long[batch], on the device."""
        return self.scale.spread(self._rows(self._pixels, chosen))

    def labels(self, chosen: Tensor) -> Tensor | None:
        """Their classes long[batch], if they have any."""
        return None if self._labels is None else self._rows(self._labels, chosen)

    def _rows(self, table: Tensor, chosen: Tensor) -> Tensor:
        return hand_over(table[hand_over(chosen, table.device)], self.device)


class Collator:
    """Places to the arguments of the model's `forward`, chance included, all on the device that trains."""

    def __init__(self, images: ImageSet, recipe: GenerationRecipe, device: torch.device) -> None:
        self.table = ImageTable(images, device)
        self.device = device
        self.recipe = recipe

    def __call__(self, places: Sequence[Place]) -> dict[str, Tensor]:
        """x0 float[batch, channels, height, width], t float64[batch], eps like x0, labels long[batch] if wanted.

        The places are rows of one batch, all of them or those of this process; a class left out is the number after
        the last one.
        """
        chosen = torch.tensor([place.index for place in places])
        rows = torch.tensor([place.row for place in places])
        x0 = self.table.x0(chosen)
        draws = self._draws(places[0], x0).rows(hand_over(rows, self.device))
        if self.recipe.flip:
            x0 = torch.where(draws.mirrored[:, None, None, None], x0.flip(-1), x0)
        batch = {"x0": x0, "t": draws.t, "eps": draws.eps}
        labels = self.table.labels(chosen) if self.recipe.conditional else None
        if labels is not None:
            batch["labels"] = torch.where(draws.labelled, labels, self.table.num_classes)
        return batch

    def _draws(self, place: Place, x0: Tensor) -> Draws:
        """Those of the whole batch, whatever part of it this process has."""
        shape = (self.recipe.batch_size, *x0.shape[1:])
        return draw(self.recipe.seed, place.epoch, place.batch, shape, self.device, self.recipe.label_dropout)


def fits(num_bytes: int, device: torch.device) -> bool:
    """Whether a GPU has room for so many bytes and three times as much for the training; main memory has it."""
    return device.type != "cuda" or num_bytes <= torch.cuda.mem_get_info(device)[0] / 4


def hand_over(x: Tensor, device: torch.device) -> Tensor:
    """A tensor to a device without waiting for what that is at."""
    if x.device.type == "cpu" and device.type == "cuda":
        x = x.pin_memory()
    return x.to(device, non_blocking=True)


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
