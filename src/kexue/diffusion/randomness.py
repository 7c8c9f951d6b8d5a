"""Standard normal noise, from one stream for a batch or from one stream per image.

With a stream per image the noise of an image does not depend on which images are drawn beside it, so a batch of 64
and 64 batches of one give the same pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from kexue.errors import OptionError

Generators = torch.Generator | Sequence[torch.Generator] | None
"""One stream for all, one per image, or torch's own."""

Draw = Callable[[Tensor], Tensor]
"""draw(x) -> noise of the shape, dtype and device of x."""


def seeded(seeds: Sequence[int]) -> list[torch.Generator]:
    """One stream per image."""
    return [torch.Generator().manual_seed(int(seed)) for seed in seeds]


def standard_normal(
    shape: Sequence[int],
    generator: Generators = None,
    *,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> Tensor:
    """Draws of N(0, 1), made where the generator lives and then moved to `device`.

    Raises OptionError where there are generators per image, but not as many as images.
    """
    if isinstance(generator, Sequence):
        check_one_each(generator, shape[0])
        return torch.stack([_draw(shape[1:], each, dtype, device) for each in generator])
    return _draw(shape, generator, dtype, device)


def drawing(generator: Generators) -> Draw:
    """Noise for samplers."""
    return lambda x: standard_normal(x.shape, generator, dtype=x.dtype, device=x.device)


def check_one_each(generators: Sequence[torch.Generator], num_images: int) -> None:
    """Refuse a number of generators that is not the number of images."""
    if len(generators) != num_images:
        raise OptionError(f"one generator per image is needed: got {len(generators)} for {num_images} images")


def _draw(
    shape: Sequence[int], generator: torch.Generator | None, dtype: torch.dtype, device: torch.device | str
) -> Tensor:
    place = device if generator is None else generator.device
    return torch.randn(tuple(shape), generator=generator, dtype=dtype, device=place).to(device)
