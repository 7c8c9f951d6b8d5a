"""One trained network, seven samplers, the same number of network calls (kexue.fm/archives/9164, 9181, 9209).

python examples/samplers.py [--quick] [--output runs/samplers]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from kexue import Generator
from kexue.diffusion import DDIM, Adams, AnalyticDPM, EulerMaruyama, Heun, SigmaHat, measure_uncertainty
from kexue.diffusion.images import read_images
from kexue.diffusion.images.writing import write_grid
from kexue.diffusion.metrics import Moments, frechet_distance
from kexue.training.generation.recipe import GenerationRecipe
from kexue.training.generation.run import train

CALLS = 20


def main() -> None:
    """Train on digits, draw with each sampler from the same noise, and measure how near they come."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a fraction of an epoch, few images")
    parser.add_argument("--output", type=Path, default=Path("runs/samplers"))
    options = parser.parse_args()

    epochs, num = (0.2, 80) if options.quick else (60, 1000)
    values = {"train": "digits", "output": options.output / "model", "preset": "tiny", "num_samples": 0}
    recipe = GenerationRecipe.from_values(values | {"epochs": epochs, "learning_rate": 2e-3})
    generator = Generator.from_pretrained(train(recipe, overwrite=True))
    real = generator.scale.encode(read_images("digits").pixels)
    noise = generator.noise(num, torch.Generator().manual_seed(0))

    times = torch.linspace(0.05, 1, 10)
    uncertainty = measure_uncertainty(generator.denoiser(), generator.schedule, real[:200], times)
    samplers = {
        "DDIM, eta 0": (DDIM(), CALLS),
        "DDPM: eta 1": (DDIM(eta=1.0), CALLS),
        "DDPM, larger variance": (SigmaHat(), CALLS),
        "DDPM, right variance": (AnalyticDPM(uncertainty), CALLS),
        "reverse SDE": (EulerMaruyama(), CALLS),
        "Heun": (Heun(), CALLS // 2),  # two calls a step
        "Adams": (Adams(), CALLS),
    }
    for name, (sampler, steps) in samplers.items():
        chance = torch.Generator().manual_seed(1)
        images = generator.sample(noise=noise, sampler=sampler, num_steps=steps, generator=chance, batch_size=500)
        moments = (Moments.of(part.flatten(1).double()) for part in (images, real))
        print(f"{name}: Frechet distance of the pixels {frechet_distance(*moments):.3f}")
        write_grid(options.output / f"{name.replace(' ', '-')}.png", generator.pixels(images[:64]), columns=8)


if __name__ == "__main__":
    main()
