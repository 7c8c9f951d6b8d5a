"""The demonstration for images: learn handwritten digits, draw new ones, see that they are no copies."""

from __future__ import annotations

import time
from pathlib import Path

from rich.console import Console

from kexue.diffusion.images.writing import write_gif, write_grid, write_png
from kexue.diffusion.randomness import seeded
from kexue.diffusion.samplers import Multistep
from kexue.files import write_json
from kexue.pipelines.drawing import Frames
from kexue.pipelines.generator import Condition, Generator
from kexue.pipelines.image_evaluation import choose_images, evaluate_generator
from kexue.training.generation.recipe import GenerationRecipe
from kexue.training.generation.run import train

ROWS = 8
NUM_STEPS = 15


def run_image_demo(folder: Path, *, epochs: float, seed: int, console: Console) -> None:
    """Train on the digits (8 x 8, BSD) inside the package, and write all results to `folder`."""
    console.rule("1. Training on 1,618 handwritten digits of 8 x 8 pixels")
    recipe = GenerationRecipe.from_values(
        {
            "train": "digits",
            "output": folder / "model",
            "conditional": True,
            "label_dropout": 0.2,
            "preset": "tiny",
            "epochs": epochs,
            "learning_rate": 2e-3,
            "num_samples": 0,
            "seed": seed,
        },
        source="demo",
    )
    began = time.monotonic()
    train(recipe, console=console, overwrite=True)
    console.print(f"trained in {time.monotonic() - began:.0f} s", highlight=False)

    console.rule(f"2. Drawing each digit {ROWS} times in {NUM_STEPS} steps")
    generator = Generator.from_pretrained(folder / "model")
    labels = [digit for _ in range(ROWS) for digit in range(10)]
    frames = Frames(generator, NUM_STEPS)
    images = generator.sample(
        len(labels),
        sampler=Multistep(),
        num_steps=NUM_STEPS,
        generator=seeded(range(seed, seed + len(labels))),
        condition=Condition(labels),
        batch_size=len(labels),
        callback=frames,
    )
    write_grid(folder / "digits.png", generator.pixels(images), columns=10)
    write_gif(folder / "digits.gif", frames.pictures(), columns=10)

    console.rule("3. Measuring against digits it has not seen")
    real, training = choose_images(generator, recipe.train)
    report = evaluate_generator(
        generator, real, training, num=500, sampler=Multistep(), num_steps=NUM_STEPS, seed=seed, num_likelihood=8
    )
    for line in report.lines():
        console.print(line, highlight=False)
    write_json(folder / "report.json", report.values)
    if report.neighbours is not None:
        write_png(folder / "nearest.png", report.neighbours)
    console.print(
        f"\n{folder / 'digits.png'}: the digits; {folder / 'digits.gif'}: out of the noise; {folder / 'nearest.png'}: "
        "the drawn digits most like training ones (first column), and those",
        highlight=False,
        soft_wrap=True,
    )
