"""A set of images in memory: pixels uint8[n, h, w, c], perhaps a class for each, and what could not be read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from kexue.diffusion.images.pixels import Pixels, PixelScale

SHOWN = 5


@dataclass(frozen=True, slots=True)
class Skipped:
    """An image that was left out, and why."""

    name: str
    reason: str

    def __str__(self) -> str:
        return f"{self.name} ({self.reason})"


@dataclass(frozen=True, slots=True, eq=False)
class ImageSet:
    """Images of one size.

    `labels` long[n] index into `label_names`, or are None where the source has no classes; `names` tells where
    each image came from; `scale` says which pixel values are black and white.
    """

    pixels: Pixels
    names: tuple[str, ...]
    labels: NDArray[np.int64] | None = None
    label_names: tuple[str, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    scale: PixelScale = PixelScale()  # noqa: RUF009  (frozen)

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width, as a network sees them."""
        height, width, channels = self.pixels.shape[1:]
        return channels, height, width

    def select(self, indices: Sequence[int] | NDArray[np.int64]) -> ImageSet:
        """The images at these places."""
        chosen = np.asarray(indices, dtype=np.int64)
        return replace(
            self,
            pixels=self.pixels[chosen],
            names=tuple(self.names[index] for index in chosen),
            labels=None if self.labels is None else self.labels[chosen],
        )

    def split(self, num_held_out: int, seed: int = 0) -> tuple[ImageSet, ImageSet]:
        """The rest, and `num_held_out` images drawn at random: to measure on what was not trained on."""
        order = np.random.default_rng(seed).permutation(len(self))
        return self.select(np.sort(order[num_held_out:])), self.select(np.sort(order[:num_held_out]))

    def summary(self) -> str:
        """One line for a person: how many, how large, how many classes, and the first that were skipped."""
        channels, height, width = self.shape
        parts = [f"{len(self):,} images of {height} x {width} x {channels}"]
        if self.labels is not None:
            parts.append(f"{len(self.label_names)} classes")
        if self.skipped:
            more = f", and {len(self.skipped) - SHOWN:,} more" if len(self.skipped) > SHOWN else ""
            parts.append(f"skipped {len(self.skipped):,}: {'; '.join(map(str, self.skipped[:SHOWN]))}{more}")
        return ", ".join(parts)
