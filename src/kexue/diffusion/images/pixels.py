"""Pixels and the numbers a network sees: x = 2 pixel / max_value - 1, from uint8[n, h, w, c] to float[n, c, h, w].

A pixel stands for all values nearer to it than to its neighbours, a bin of width 2 / max_value.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kexue.diffusion.bits import Bins
from kexue.errors import OptionError

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class PixelScale:
    """The map between pixels 0 ... `max_value` and [-1, 1]. Raises `OptionError` outside 1 ... 255."""

    max_value: int = 255

    def __post_init__(self) -> None:
        if type(self.max_value) is not int or not 1 <= self.max_value <= 255:
            raise OptionError(f"max_value must be within 1 ... 255, a whole number, got {self.max_value!r}")

    def encode(self, pixels: Pixels) -> Tensor:
        """float32[n, c, h, w] in [-1, 1] of uint8[n, h, w, c]."""
        return self.spread(torch.from_numpy(pixels))

    def spread(self, pixels: Tensor) -> Tensor:
        """The same of a tensor, where it is."""
        return pixels.movedim(-1, -3).float() * (2 / self.max_value) - 1

    def decode(self, x: Tensor) -> Pixels:
        """uint8[n, h, w, c] of float[n, c, h, w]: the nearest pixels, what lies outside [-1, 1] cut off."""
        values = ((x.detach().float() + 1) * (self.max_value / 2)).round().clamp(0, self.max_value)
        return np.ascontiguousarray(values.to("cpu", torch.uint8).movedim(-3, -1).numpy())

    @property
    def bins(self) -> Bins:
        """How far apart the numbers are that pixels become, for bits per dimension."""
        return Bins(2 / self.max_value)
