"""A trained generator as functions of images: draw them, paint them over, take them apart, say how likely they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from kexue.diffusion import editing, inversion
from kexue.diffusion.bound import VariationalBound, variational_bound
from kexue.diffusion.checkpoint import GeneratorCheckpoint, load_generator
from kexue.diffusion.denoising import Clip, Guided, NetworkDenoiser, Thresholded
from kexue.diffusion.grids import EqualSteps, TimeGrid
from kexue.diffusion.images import PixelScale
from kexue.diffusion.images.pixels import Pixels
from kexue.diffusion.interpolation import spherical
from kexue.diffusion.likelihood import Likelihood, log_likelihood
from kexue.diffusion.prediction import Denoiser
from kexue.diffusion.randomness import Generators, standard_normal
from kexue.diffusion.samplers import DDIM, Sampler
from kexue.diffusion.sampling import Bar, Callback, in_parts, sample
from kexue.diffusion.trace import Trace
from kexue.errors import OptionError, unknown
from kexue.ops.device import check_dtype, choose_device
from kexue.pipelines.hub import local_folder

BATCH_SIZE = 64
Labels = int | str | Sequence[int | str] | Tensor | None
"""One class for all images, or one for each, by number or name; None for any."""


@dataclass(frozen=True)
class Condition:
    """What the images are to show.

    Args:
        labels: classes; None for any.
        guidance: how strongly the class decides: 1 as learnt, more exaggerates it, 0 is without.
        clip: whether what the network believes of the data is kept within [-1, 1] at every step.
    """

    labels: Labels = None
    guidance: float = 1.0
    clip: bool = False


ANY = Condition()


class Generator:
    """Draws images, float[num, channels, height, width] in [-1, 1].

        generator = Generator.from_pretrained("runs/my-images")
        images = generator.sample(16, sampler=DDIM(eta=0.0), num_steps=20)
        generator.pixels(images)                            # uint8[16, height, width, channels]

    With one `torch.Generator` per image, an image does not depend on those drawn beside it.
    """

    def __init__(
        self,
        checkpoint: GeneratorCheckpoint,
        *,
        device: str | None = None,
        dtype: Literal["float32", "bfloat16"] = "float32",
    ) -> None:
        check_dtype(dtype)
        self.device = choose_device(device)
        self.dtype = dtype
        self.network = checkpoint.network.to(self.device).eval()
        self.schedule = checkpoint.schedule
        self.parameterization = checkpoint.parameterization
        self.scale = checkpoint.scale
        self.label_names = checkpoint.label_names
        self.recipe = checkpoint.recipe
        self.metrics = checkpoint.metrics
        self.fingerprint = checkpoint.fingerprint
        self.provenance = checkpoint.provenance

    @classmethod
    def from_pretrained(
        cls, name_or_folder: str | Path, *, device: str | None = None, dtype: Literal["float32", "bfloat16"] = "float32"
    ) -> Generator:
        """Load a folder written by `kexue train` or by diffusers, or download one by its hub id.

        Raises `CheckpointError` if the folder is missing, damaged, from a newer kexue, or no generator.
        """
        return cls(load_generator(local_folder(name_or_folder)), device=device, dtype=dtype)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of the images."""
        return self.network.shape

    # --- drawing ---

    def noise(self, num: int, generator: Generators = None) -> Tensor:
        """What `num` images begin as: N(0, 1), float[num, channels, height, width]."""
        return standard_normal((num, *self.shape), generator, device=self.device)

    def sample(
        self,
        num: int | None = None,
        *,
        sampler: Sampler = DDIM(),  # noqa: B008  (frozen)
        num_steps: int = 50,
        generator: Generators = None,
        condition: Condition = ANY,
        noise: Tensor | None = None,
        grid: TimeGrid | None = None,
        batch_size: int = BATCH_SIZE,
        callback: Callback | None = None,
        progress: Bar | None = None,
    ) -> Tensor:
        """Images of the kind that was trained on.

        Args:
            num: how many; as many as `noise` has where left out, 1 where that is left out too.
            sampler: one of `SAMPLERS`.
            num_steps: of the sampler.
            generator: of all chance; one per image makes each independent of the others.
            condition: classes, guidance and clipping.
            noise: what to begin with, as `encode` gives it.
            grid: the times; where left out the sampler's own, or equal steps in time if the network predicts noise.
            batch_size: how many images go through the network at a time.
            callback: sees each step of each batch.
            progress: wraps the steps of each batch, to show a bar.

        Raises `OptionError` for labels the network does not know, for a `num` that is not that of `noise`, and as
        `kexue.diffusion.sampling.sample` does.
        """
        if noise is not None and num not in (None, len(noise)):
            raise OptionError(f"noise for {len(noise)} images is given, but num is {num}; leave num out")
        start = self.noise(1 if num is None else num, generator) if noise is None else noise.to(self.device)

        def run(denoise: Denoiser, part: Tensor, own: Generators) -> Tensor:
            return sample(
                denoise, self.schedule, part, sampler, num_steps, own, grid=grid, callback=callback, progress=progress
            )

        return self._in_batches(run, start, condition, generator, batch_size)

    def stream(
        self,
        num: int,
        *,
        generator: Generators = None,
        condition: Condition = ANY,
        batch_size: int = BATCH_SIZE,
        **options: Any,
    ) -> Iterator[Tensor]:
        """What `sample` draws, `batch_size` images at a time, so that memory does not grow with `num`.

        With one `torch.Generator` per image they are the images of `sample`.
        """
        numbers = self._numbers(condition.labels, num)
        for first in range(0, num, batch_size):
            rows = slice(first, min(first + batch_size, num))
            yield self.sample(
                rows.stop - first,
                generator=generator[rows] if isinstance(generator, Sequence) else generator,
                condition=condition if numbers is None else replace(condition, labels=numbers[rows]),
                batch_size=batch_size,
                **options,
            )

    def interpolate(self, first: Tensor, second: Tensor, num: int = 8, **options: Any) -> Tensor:
        """Images on the way between those of two noises [channels, height, width]; `options` are those of `sample`."""
        between = spherical(first.to(self.device), second.to(self.device), torch.linspace(0, 1, num))
        return self.sample(noise=between, **options)

    # --- from images ---

    def encode(
        self,
        images: Tensor,
        *,
        sampler: Sampler = DDIM(),  # noqa: B008  (frozen)
        num_steps: int = 50,
        condition: Condition = ANY,
        grid: TimeGrid | None = None,
        batch_size: int = BATCH_SIZE,
    ) -> Tensor:
        """The noise from which a deterministic sampler makes the images again, up to the sampler's error."""

        def run(denoise: Denoiser, part: Tensor, own: Generators) -> Tensor:
            return inversion.encode(denoise, self.schedule, part, sampler, num_steps, grid=grid)

        return self._in_batches(run, images.to(self.device), condition, None, batch_size)

    def image_to_image(
        self,
        images: Tensor,
        *,
        start: float = 0.5,
        sampler: Sampler = DDIM(),  # noqa: B008  (frozen)
        num_steps: int = 50,
        generator: Generators = None,
        condition: Condition = ANY,
        grid: EqualSteps | None = None,
        batch_size: int = BATCH_SIZE,
    ) -> Tensor:
        """The images with noise up to t = `start`, and drawn anew from there: the higher, the freer."""

        def run(denoise: Denoiser, part: Tensor, own: Generators) -> Tensor:
            noise = standard_normal(part.shape, own, device=self.device)
            return editing.image_to_image(
                denoise, self.schedule, part, noise, sampler, num_steps, own, start=start, grid=grid
            )

        return self._in_batches(run, images.to(self.device), condition, generator, batch_size)

    def inpaint(
        self,
        images: Tensor,
        mask: Tensor,
        *,
        repeats: int = 5,
        sampler: Sampler = DDIM(eta=1.0),  # noqa: B008  (frozen)
        num_steps: int = 50,
        generator: Generators = None,
        condition: Condition = ANY,
        grid: EqualSteps | None = None,
        batch_size: int = BATCH_SIZE,
    ) -> Tensor:
        """The images where `mask` (bool, broadcast against one image) is True, and the rest painted to go with it."""
        known = mask.to(self.device)

        def run(denoise: Denoiser, part: Tensor, own: Generators) -> Tensor:
            noise = standard_normal(part.shape, own, device=self.device)
            return editing.inpaint(
                denoise, self.schedule, part, known, noise, sampler, num_steps, own, repeats=repeats, grid=grid
            )

        return self._in_batches(run, images.to(self.device), condition, generator, batch_size)

    # --- measuring ---

    def log_likelihood(
        self,
        images: Tensor,
        *,
        labels: Labels = None,
        trace: Trace | None = None,
        generator: torch.Generator | None = None,
        **options: Any,
    ) -> Likelihood:
        """How likely the images' pixels are: `.bits_per_dim` of each, with its error; `options` as in diffusion."""
        denoise = self.denoiser(Condition(labels), len(images))
        bins = self.scale.bins
        x = images.to(self.device)
        return log_likelihood(denoise, self.schedule, x, trace=trace, bins=bins, generator=generator, **options)

    def variational_bound(
        self, images: Tensor, *, num_steps: int = 1000, labels: Labels = None, **options: Any
    ) -> VariationalBound:
        """The bound of a chain of `num_steps` on the images' bits per dimension, term by term."""
        denoise, x = self.denoiser(Condition(labels), len(images)), images.to(self.device)
        return variational_bound(denoise, self.schedule, x, num_steps, bins=self.scale.bins, **options)

    # --- parts ---

    def denoiser(self, condition: Condition = ANY, num: int = 1) -> Denoiser:
        """What all of the above are made of: the network's belief about x_0, for `num` images."""
        return self._denoiser(self._numbers(condition.labels, num), condition)

    def pixels(self, images: Tensor) -> Pixels:
        """uint8[num, height, width, channels] from 0 to 255, for `kexue.diffusion.images.write_images`."""
        return PixelScale().decode(images)

    def from_pixels(self, pixels: Pixels) -> Tensor:
        """The inverse: images of uint8[num, height, width, channels]."""
        return PixelScale().encode(np.ascontiguousarray(pixels))

    def _denoiser(self, numbers: Tensor | None, condition: Condition) -> Denoiser:
        denoise: Denoiser = self._plain(numbers)
        if numbers is not None and condition.guidance != 1:
            denoise = Guided(denoise, self._plain(None), condition.guidance)
        return Thresholded(denoise, Clip()) if condition.clip else denoise

    def _plain(self, numbers: Tensor | None) -> NetworkDenoiser:
        network = partial(self._call, labels=numbers)
        return NetworkDenoiser(network, self.schedule, self.parameterization)

    def _call(self, x_t: Tensor, t: Tensor, labels: Tensor | None) -> Tensor:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.dtype == "bfloat16"):
            return self.network(x_t.to(torch.float32), t, labels).to(x_t.dtype)

    def _numbers(self, labels: Labels, num: int) -> Tensor | None:
        """long[num], or None for any class; raises `OptionError` for what the network does not know."""
        if labels is None:
            return None
        if not self.network.num_classes:
            raise OptionError("this generator was not trained with classes, so it takes no labels")
        given = labels.tolist() if isinstance(labels, Tensor) else labels
        listed = [given] * num if isinstance(given, int | str) else list(given)
        if len(listed) != num:
            raise OptionError(f"one label is needed, or one for each of {num} images; got {len(listed)}")
        return torch.tensor([self._number(label) for label in listed], device=self.device)

    def _number(self, label: int | str) -> int:
        if isinstance(label, str):
            if label not in self.label_names:
                raise OptionError(unknown("class", label, list(self.label_names)))
            return self.label_names.index(label)
        if not 0 <= label < self.network.num_classes:
            raise OptionError(f"classes are numbered from 0 to {self.network.num_classes - 1}, got {label}")
        return label

    def _in_batches(
        self,
        run: Callable[[Denoiser, Tensor, Generators], Tensor],
        x: Tensor,
        condition: Condition,
        generator: Generators,
        batch_size: int,
    ) -> Tensor:
        numbers = self._numbers(condition.labels, len(x))
        parts, first = [], 0
        for part, own in in_parts(x, generator, batch_size):
            of_part = None if numbers is None else numbers[first : first + len(part)]
            parts.append(run(self._denoiser(of_part, condition), part, own))
            first += len(part)
        return torch.cat(parts)
