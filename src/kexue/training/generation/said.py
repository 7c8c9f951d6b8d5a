"""What a network says of a batch of noisy images: what two passes, or two networks, are compared by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from torch import Tensor

from kexue.diffusion.denoising import NetworkDenoiser
from kexue.diffusion.prediction import Prediction
from kexue.diffusion.shapes import mean_per_sample
from kexue.ops.precision import exact_dtype

DIVERGENCES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "squared": lambda value, other: mean_per_sample((value - other).square()).mean(),
}
"""By name: a mean over pixels, as in the loss, so that one weight serves images of all sizes."""


@dataclass(frozen=True, eq=False)
class SaidOfImages:
    """The output of a network, [images, channels, height, width]."""

    value: Tensor

    def halves(self) -> tuple[Self, Self]:
        """Of the first half of the images, and of the second."""
        first, second = self.value.chunk(2)
        return type(self)(first), type(self)(second)

    def detached(self) -> Self:
        """The same, through which no gradient flows."""
        return type(self)(self.value.detach())

    def scaled(self, by: float) -> Self:
        """Times a number."""
        return type(self)(by * self.value)

    def divergence(self, other: Self, kind: str) -> Tensor:
        """A mean over images and pixels; `kind` is a name in `DIVERGENCES`."""
        dtype = exact_dtype(self.value)
        return DIVERGENCES[kind](self.value.to(dtype), other.value.to(dtype))


class Overheard:
    """A denoiser that remembers what its network said last."""

    def __init__(self, denoise: NetworkDenoiser) -> None:
        self._denoise = denoise

    def __call__(self, x_t: Tensor, t: Tensor) -> Prediction:
        """What the denoiser says."""
        self._last = self._denoise(x_t, t)
        return self._last

    @property
    def said(self) -> SaidOfImages:
        """The last output of the network."""
        return SaidOfImages(self._last.value)
