"""Images to their noise and back, between two images, and how likely they are (kexue.fm/archives/9152, 9181, 9209).

python examples/there_and_back.py [--quick] [--output runs/there_and_back]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from kexue import Generator
from kexue.diffusion import DDIM, Adams, Hutchinson
from kexue.diffusion.images import read_images
from kexue.diffusion.images.writing import write_grid
from kexue.training.generation.recipe import GenerationRecipe
from kexue.training.generation.run import train


def main() -> None:
    """Train on digits; encode, interpolate, measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a fraction of an epoch, short chains")
    parser.add_argument("--output", type=Path, default=Path("runs/there_and_back"))
    options = parser.parse_args()

    values = {"train": "digits", "output": options.output / "model", "preset": "tiny", "num_samples": 0}
    recipe = GenerationRecipe.from_values(values | {"epochs": 0.2 if options.quick else 60, "learning_rate": 2e-3})
    generator = Generator.from_pretrained(train(recipe, overwrite=True))
    images = generator.scale.encode(read_images("digits").pixels[:8])

    for name, sampler in {"DDIM": DDIM(), "Adams": Adams()}.items():
        for steps in (10, 40):
            noise = generator.encode(images, sampler=sampler, num_steps=steps)
            again = generator.sample(noise=noise, sampler=sampler, num_steps=steps)
            print(f"{name}, {steps} steps each way: mean error {float((again - images).abs().mean()):.4f}")

    path = generator.interpolate(noise[0], noise[1], num=8, sampler=Adams(), num_steps=20)
    straight = torch.lerp(noise[0], noise[1], torch.tensor(0.5))
    print(f"length of a noise {float(noise[0].norm()):.2f}, half way straight {float(straight.norm()):.2f}")
    write_grid(options.output / "between.png", generator.pixels(path), columns=8)

    few = images[: 2 if options.quick else 8]
    likelihood = generator.log_likelihood(few, trace=Hutchinson(4) if options.quick else None)  # None: exact
    steps = 20 if options.quick else 1000
    bound = generator.variational_bound(few, num_steps=steps)
    print(f"bits per value: likelihood {float(likelihood.bits_per_dim.mean()):.3f}, ", end="")
    print(f"bound of {steps} steps {float(bound.total.mean()):.3f}")


if __name__ == "__main__":
    main()
