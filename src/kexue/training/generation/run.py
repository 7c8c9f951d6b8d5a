"""A recipe to a trained generator in a folder: the one way a generator is made."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from transformers import TrainerCallback

from kexue.diffusion.checkpoint import GeneratorCheckpoint, save_generator
from kexue.diffusion.denoisers import DENOISERS
from kexue.diffusion.images.packaged import find_source
from kexue.manifest import MANIFEST
from kexue.ops.device import choose_device
from kexue.provenance import describe_origin
from kexue.training.course import begin, carry_out, first_voice
from kexue.training.generation.data import GenerationData, load_generation_data
from kexue.training.generation.model import GenerationModel
from kexue.training.generation.recipe import GenerationRecipe
from kexue.training.generation.trainer import GenerationTrainer
from kexue.training.memory import CONTENT, forget, refuse_finished


def train(recipe: GenerationRecipe, *, console: Console | None = None, overwrite: bool = False) -> Path:
    """Train on the recipe's images and write the model.

    Resumes where an interrupted training with the same recipe and data stopped. Raises `DataError` or `OptionError`
    before any work if files or options are wrong. Under `torchrun` every process calls it, and the first one writes
    and prints.
    """
    console = first_voice(console)
    refuse_finished(recipe.output, MANIFEST, overwrite=overwrite)
    data = load_generation_data(recipe)
    description = begin(recipe, _content(data), data.notes, console)
    return carry_out(
        recipe,
        description,
        console,
        describe_measures=describe_losses,
        origin=partial(_origin, recipe, description),
        build=lambda progress: make_trainer(recipe, data, callbacks=[progress]),
        finish=partial(_finish, recipe, data=data),
    )


def make_trainer(
    recipe: GenerationRecipe, data: GenerationData, callbacks: Sequence[TrainerCallback] = ()
) -> GenerationTrainer:
    """A fresh network of the images' shape, and the trainer around it."""
    num_classes = data.num_classes if recipe.conditional else 0
    network = DENOISERS[recipe.network].preset(recipe.preset, data.train.shape, num_classes, recipe.dropout)
    if recipe.gradient_checkpointing:
        network.gradient_checkpointing_enable()
    model = GenerationModel(network.to(choose_device(recipe.device)), recipe)
    return GenerationTrainer(model, data, recipe, callbacks)


def _origin(recipe: GenerationRecipe, description: dict[str, Any]) -> dict[str, Any]:
    """The provenance of the generator that is to be trained."""
    sources = {role: [find_source(place)] for role, place in (("train", recipe.train), ("dev", recipe.dev)) if place}
    return describe_origin(sources, content=description[CONTENT], device=str(choose_device(recipe.device)))


def _finish(
    recipe: GenerationRecipe,
    trainer: GenerationTrainer,
    seconds: float,
    origin: dict[str, Any],
    data: GenerationData,
) -> None:
    """Write the model with the weights that were kept."""
    model: GenerationModel = trainer.accelerator.unwrap_model(trainer.model).eval()
    metrics = {
        "dev": trainer.last_measure(),
        "training_seconds": seconds,
        "steps": trainer.state.global_step,
    }
    checkpoint = GeneratorCheckpoint(
        model.network.cpu(),
        model.schedule,
        model.parameterization,
        data.train.scale,
        data.train.label_names if recipe.conditional else (),
        recipe.to_json(),
        metrics,
        provenance=origin,
    )
    save_generator(checkpoint, recipe.output)
    forget(recipe.output)


def _content(data: GenerationData) -> Iterator[bytes]:
    for images in (data.train, data.dev):
        yield repr((images.pixels.shape, images.label_names, images.scale)).encode()
        yield images.pixels.tobytes()
        yield b"" if images.labels is None else images.labels.tobytes()


def describe_losses(measured: dict[str, float]) -> str:
    """The dev loss as one line, with its first and its last tenth of time."""
    by_time = [value for name, value in measured.items() if name.startswith("loss_t")]
    return f"loss {measured['loss']:.4f} (near the data {by_time[0]:.4f}, near the noise {by_time[-1]:.4f})"
