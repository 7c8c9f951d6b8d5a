"""A generator of ours in a pipeline of diffusers, our sampler as its scheduler, and a pipeline of theirs here.

python examples/exchange_with_diffusers.py [--quick] [--output runs/exchange]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel

from kexue import Generator
from kexue.diffusion import Adams
from kexue.diffusion.grids import GRIDS
from kexue.integrations.diffusers import SamplerScheduler
from kexue.training.generation.recipe import GenerationRecipe
from kexue.training.generation.run import train

STEPS = 10


def main() -> None:
    """There and back."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a fraction of an epoch")
    parser.add_argument("--output", type=Path, default=Path("runs/exchange"))
    options = parser.parse_args()

    values = {"train": "digits", "output": options.output / "ours", "preset": "tiny", "num_samples": 0}
    recipe = GenerationRecipe.from_values(values | {"epochs": 0.2 if options.quick else 60, "learning_rate": 2e-3})
    folder = train(recipe, overwrite=True)

    # Ours there: an unconditional U-Net is a folder that diffusers reads, and a sampler is a scheduler.
    pipeline = DDPMPipeline.from_pretrained(folder)
    pipeline.set_progress_bar_config(disable=True)
    pipeline.scheduler = SamplerScheduler.like(pipeline.scheduler, Adams(), GRIDS["trailing"]())
    drawn = pipeline(8, torch.Generator().manual_seed(0), STEPS, output_type="np").images
    print("their pipeline, our network and sampler:", drawn.shape, f"mean {drawn.mean():.3f}")

    # Theirs here: any folder that a DDPMPipeline wrote, with all samplers, inversion and likelihood.
    unet = UNet2DModel(8, 1, 1, block_out_channels=(32, 32), norm_num_groups=8, layers_per_block=1,
                       down_block_types=("DownBlock2D",) * 2, up_block_types=("UpBlock2D",) * 2)  # fmt: skip
    DDPMPipeline(unet, DDPMScheduler(prediction_type="v_prediction")).save_pretrained(options.output / "theirs")
    generator = Generator.from_pretrained(options.output / "theirs")
    images = generator.sample(2, sampler=Adams(), num_steps=STEPS, generator=torch.Generator().manual_seed(0))
    noise = generator.encode(images, sampler=Adams(), num_steps=STEPS)
    print("their network here:", tuple(images.shape), generator.schedule, f"noise of {float(noise.std()):.2f}")


if __name__ == "__main__":
    main()
