"""A generator against real images it was not trained on: how near, how varied, how new, how likely."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kexue.diffusion.images import ImageSet, read_images
from kexue.diffusion.images.form import CHANNELS
from kexue.diffusion.images.pixels import Pixels
from kexue.diffusion.images.writing import arrange_grid
from kexue.diffusion.metrics import (
    InceptionFeatures,
    PixelFeatures,
    evaluate_images,
    extract_features,
    nearest_neighbours,
)
from kexue.diffusion.metrics.features import Features
from kexue.diffusion.randomness import seeded
from kexue.diffusion.samplers import Sampler
from kexue.diffusion.trace import Hutchinson
from kexue.errors import KexueError, OptionError
from kexue.pipelines.generator import Generator
from kexue.training.generation.data import load_generation_data
from kexue.training.generation.recipe import GenerationRecipe

NUM_PROBES = 4  # of the trace: their error is far below the spread between images
TOLERANCE = 1e-3  # of the integration: some 1e-3 bits
SHOWN = 10
NEAREST = 5


@dataclass(frozen=True, eq=False)
class GeneratorReport:
    """What `evaluate_generator` found; `neighbours` shows generated images (first column) and their nearest ones."""

    values: dict[str, Any]
    neighbours: Pixels | None

    def lines(self) -> list[str]:
        """For a person."""
        values = self.values
        shown = [
            f"{values['num_generated']:,} generated against {values['num_real']:,} real images, "
            f"features: {values['features']}",
            f"Frechet distance  {values['frechet_distance']:.4f}",
            f"kernel distance   {values['kernel_distance']:.6f} +- {values['kernel_distance_error']:.6f}",
            f"precision         {values['precision']:.3f}",
            f"recall            {values['recall']:.3f}",
        ]
        if values["memorised"] is not None:
            shown.append(f"memorised         {values['memorised']:.1%} (about 1% where nothing is)")
        if "bits_per_dim" in values:
            bits = values["bits_per_dim"]
            shown.append(f"bits per value    {bits['mean']:.4f} +- {bits['standard_error']:.4f} ({bits['num']} images)")
        return shown


def evaluate_generator(
    generator: Generator,
    real: ImageSet,
    training: ImageSet | None,
    *,
    features: Features | None = None,
    num: int,
    sampler: Sampler,
    num_steps: int,
    num_likelihood: int = 0,
    seed: int = 0,
) -> GeneratorReport:
    """Draw `num` images and compare them with real ones; of `num_likelihood` real ones measure the likelihood.

    `features` are the pixels where left out. Raises `OptionError` for too few images.
    """
    features = PixelFeatures() if features is None else features
    images = generator.stream(num, sampler=sampler, num_steps=num_steps, generator=seeded(range(seed, seed + num)))
    drawn = np.concatenate([generator.scale.decode(part) for part in images])
    found, gold = _features(features, generator, drawn), _of(features, generator, real)
    known = None if training is None else _of(features, generator, training)
    values: dict[str, Any] = evaluate_images(found, gold, known).to_json()
    values |= {"features": type(features).__name__, "sampler": str(sampler), "num_steps": num_steps}
    if num_likelihood:
        values["bits_per_dim"] = _bits(generator, real, min(num_likelihood, len(real)), seed)
    return GeneratorReport(values, None if training is None else _neighbours(generator, drawn, found, training, known))


def read_like(generator: Generator, source: str | Path, background: str = "white") -> ImageSet:
    """Images in the form that a generator draws."""
    channels, height, width = generator.shape
    modes = {count: mode for mode, count in CHANNELS.items()}
    return read_images(source, size=(height, width), mode=modes[channels], background=background)


def choose_images(generator: Generator, source: str) -> tuple[ImageSet, ImageSet | None]:
    """The real images of a source, and those that were trained on if they are still where they were.

    Of the very source that was trained on, the real images are those that the training held out.
    """
    try:
        recipe = GenerationRecipe.from_values(generator.recipe)
        data = load_generation_data(recipe)
    except KexueError:
        return read_like(generator, source), None
    if source == recipe.train:
        return data.dev, data.train
    return read_like(generator, source, recipe.background), data.train


def load_features(path: Path | None, device: str | torch.device) -> Features:
    """The network of FID from its TorchScript file, or the pixels."""
    return PixelFeatures() if path is None else InceptionFeatures.load(path, device)


def _of(features: Features, generator: Generator, images: ImageSet) -> Tensor:
    if images.scale != generator.scale:
        raise OptionError(f"the generator draws pixels of {generator.scale}, these images have {images.scale}")
    return _features(features, generator, images.pixels)


def _features(features: Features, generator: Generator, pixels: Pixels) -> Tensor:
    return extract_features(features, pixels, generator.scale, device=generator.device)


def _bits(generator: Generator, real: ImageSet, num: int, seed: int) -> dict[str, float | int]:
    """The mean over images, and its standard error over images and probes together."""
    chance = torch.Generator().manual_seed(seed)
    some = real.select(torch.randperm(len(real), generator=chance)[:num].numpy())
    labels = None
    if some.labels is not None and generator.network.num_classes:
        labels = torch.from_numpy(some.labels)
    x = some.scale.encode(some.pixels)
    trace = Hutchinson(NUM_PROBES)
    found = generator.log_likelihood(x, labels=labels, trace=trace, generator=chance, rtol=TOLERANCE, atol=TOLERANCE)
    bits = found.bits_per_dim
    spread = float(bits.std()) / num**0.5 if num > 1 else float("nan")
    return {"mean": float(bits.mean()), "standard_error": spread, "num": num}


def _neighbours(
    generator: Generator, drawn: Pixels, found: Tensor, training: ImageSet, known: Tensor | None
) -> Pixels | None:
    """The images nearest to the training set, each beside its nearest training images."""
    if known is None:
        return None
    k = min(NEAREST, len(training))
    near = nearest_neighbours(found, known, k)
    rows = []
    for index in near.distances[:, 0].argsort()[:SHOWN].tolist():
        rows += [drawn[index : index + 1], training.pixels[near.indices[index].numpy()]]
    shown = generator.pixels(generator.scale.encode(np.concatenate(rows)))  # with 255 as white
    return arrange_grid(shown, columns=k + 1)
