"""The images of a recipe: what is trained on, and what is held out to measure on."""

from __future__ import annotations

from dataclasses import dataclass

from kexue.diffusion.images import ImageSet, read_images
from kexue.errors import DataError
from kexue.training.generation.recipe import GenerationRecipe

MOST_HELD_OUT = 1000


@dataclass(frozen=True, slots=True, eq=False)
class GenerationData:
    """Images to train on and images to measure on, and what a person should know of both."""

    train: ImageSet
    dev: ImageSet
    notes: tuple[str, ...]

    @property
    def num_classes(self) -> int:
        """Classes of the images; 0 if they have none."""
        return len(self.train.label_names)


def load_generation_data(recipe: GenerationRecipe) -> GenerationData:
    """Read the images of a recipe.

    Raises `DataError` if there are too few, if dev is not like train, or if classes are wanted that are not there.
    """
    train = read_source(recipe.train, recipe)
    if recipe.dev is None:
        train, dev = train.split(min(MOST_HELD_OUT, max(1, len(train) // 10)), recipe.seed)
    else:
        dev = read_source(recipe.dev, recipe)
    _check(train, dev, recipe)
    notes = (f"training a generator on {train.summary()}", f"measuring on {dev.summary()}")
    return GenerationData(train, dev, notes)


def read_source(source: str, recipe: GenerationRecipe) -> ImageSet:
    """The images of a source in the form of the recipe."""
    return read_images(
        source,
        size=recipe.size,
        mode=recipe.mode,
        background=recipe.background,
        label_column=recipe.label_column,
    )


def _check(train: ImageSet, dev: ImageSet, recipe: GenerationRecipe) -> None:
    if len(train) < recipe.batch_size or not len(dev):
        raise DataError(
            f"has {len(train):,} images to train on and {len(dev):,} to measure on; a batch needs {recipe.batch_size} "
            "(--batch-size, in a recipe batch_size), and 1 at least is kept to measure on, unless --dev names others",
            path=recipe.train,
        )
    if (train.shape, train.scale) != (dev.shape, dev.scale):
        unlike = f"has images of {dev.shape}, those to train on are {train.shape}"
        raise DataError(f"{unlike}: give size and mode", path=recipe.dev)
    if recipe.conditional and (train.labels is None or dev.labels is None or train.label_names != dev.label_names):
        raise DataError("conditional = true needs classes for all images, the same in train and dev", path=recipe.train)
