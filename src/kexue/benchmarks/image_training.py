"""What a training step of a generator adds to its network's own forward and backward pass.

    python -m kexue.benchmarks.image_training [--preset small] [--batch 64] [--size 32] [--threads 1]

The trainer runs as `kexue train` runs it: images, noise, loss, clipping, AdamW, moving average, logging. A round is
five of its steps, in which the average is updated once; then a twin of its network goes forward and backward as often
on a batch that lies ready, in the same precision, so both see the same load. Only the end of a round waits for a GPU.
"""

from __future__ import annotations

import sys
from argparse import Namespace
from copy import deepcopy
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import TrainerCallback

from kexue.benchmarks.measuring.comparison import Comparison
from kexue.benchmarks.measuring.options import begin, make_parser
from kexue.benchmarks.measuring.report import Report, number
from kexue.benchmarks.measuring.timing import Elapsed, Stopwatch, Times
from kexue.diffusion.images import ImageSet
from kexue.training.arguments import uses_bfloat16
from kexue.training.generation.data import GenerationData
from kexue.training.generation.recipe import GenerationRecipe
from kexue.training.generation.run import make_trainer
from kexue.training.generation.trainer import GenerationTrainer

STEPS = GenerationTrainer.ema_interval
"""Of a round."""
MOST = 1.05


class Twin:
    """A copy of the network, its forward and its backward pass on the first batch."""

    def __init__(self, trainer: GenerationTrainer, recipe: GenerationRecipe) -> None:
        device = trainer.args.device
        self.network: nn.Module = deepcopy(trainer.model.network).train()
        self.run = torch.compile(self.network.forward, dynamic=False) if recipe.compile else self.network
        batch = next(iter(trainer.get_train_dataloader()))
        self.x, self.t = batch["x0"], batch["t"]
        self.lower = torch.autocast(device.type, torch.bfloat16, enabled=uses_bfloat16(recipe))

    def __call__(self) -> None:
        """Once."""
        with self.lower:
            said: Tensor = self.run(self.x, self.t)
        said.float().square().mean().backward()
        self.network.zero_grad()


class SideBySide(TrainerCallback):
    """After each round of the trainer, as many steps of the twin; seconds of a step of both."""

    def __init__(self) -> None:
        self.twin: Twin | None = None
        self.trained: list[Elapsed] = []
        self.bare: list[Elapsed] = []

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Start the watch."""
        self._watch = Stopwatch()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """At the end of a round, stop the watch of the trainer and let it run again when the twin is done."""
        if state.global_step % STEPS:
            return
        self.trained.append(self._lap())
        for _ in range(STEPS):
            self.twin()
        self.bare.append(self._lap())

    def _lap(self) -> Elapsed:
        """Seconds of a step since the watch was started, which starts anew."""
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        seconds, self._watch = self._watch.read(), Stopwatch()
        return Elapsed(*(each / STEPS for each in seconds))

    def times(self) -> tuple[Times, Times]:
        """Of all rounds but the first, which warms up."""
        return _columns(self.trained[1:]), _columns(self.bare[1:])


def _columns(laps: list[Elapsed]) -> Times:
    return Times(*(tuple(column) for column in zip(*laps, strict=True)))


def main(arguments: list[str]) -> Report:
    """Print both times, their ratio and the images a second."""
    options = _options(arguments)
    report, _ = begin("image_training", options)
    with TemporaryDirectory() as folder:
        side_by_side = _run(options, Path(folder))
    _print(report, options, *side_by_side.times())
    return report


def _options(arguments: list[str]) -> Namespace:
    parser = make_parser("image_training", __doc__)
    parser.add_argument("--preset", default="small", help="of the U-Net (default small)")
    parser.add_argument("--batch", type=int, default=64, help="images of a step (default 64)")
    parser.add_argument("--size", type=int, default=32, help="side of an image in pixels (default 32)")
    parser.add_argument("--channels", type=int, choices=(1, 3), default=3, help="of an image (default 3)")
    parser.add_argument("--device", choices=("cpu", "cuda"), help="default: the best there is")
    parser.add_argument("--precision", default="auto", help="auto, float32 or bfloat16 (default auto)")
    parser.add_argument("--compile", action="store_true", help="the network, with torch.compile")
    options = parser.parse_args(arguments)
    if options.quick:
        options.preset, options.batch, options.size, options.rounds = "tiny", 2, 8, 1
    return options


def _run(options: Namespace, folder: Path) -> SideBySide:
    num_steps = (options.rounds + 1) * STEPS
    data = _noise(options, num_steps * options.batch)
    recipe = GenerationRecipe.from_values(
        {
            "train": "noise",
            "output": folder,
            "preset": options.preset,
            "batch_size": options.batch,
            "epochs": 1,
            "device": options.device,
            "precision": options.precision,
            "compile": options.compile,
            "seed": options.seed,
            "num_samples": 0,
            "save_steps": 10**9,
        },
        source="benchmark",
    )
    side_by_side = SideBySide()
    trainer = make_trainer(recipe, data, callbacks=[side_by_side])
    side_by_side.twin = Twin(trainer, recipe)
    trainer.train_or_resume()
    return side_by_side


def _noise(options: Namespace, num: int) -> GenerationData:
    pixels = np.random.default_rng(options.seed).integers(
        0, 256, (num, options.size, options.size, options.channels), np.uint8
    )
    images = ImageSet(pixels, tuple(map(str, range(num))))
    return GenerationData(images, images.select(range(options.batch)), ())


def _print(report: Report, options: Namespace, trained: Times, bare: Times) -> None:
    ratio = trained.ratio(bare)
    shape = f"{options.batch} x {options.channels} x {options.size} x {options.size}"
    report.line(f"U-Net {options.preset}, batch {shape}; ms, wall / processor\n")
    report.table(
        ["training step", "forward + backward", "ratio", "images / s"],
        [[trained.each(1e3), bare.each(1e3), ratio, number(options.batch / trained.median_wall)]],
    )
    report.compare(
        Comparison.of_times(
            "training step / forward + backward",
            trained,
            bare,
            "its network, forward and backward",
            promised=MOST,
            at_most=True,
        )
    )


if __name__ == "__main__":
    main(sys.argv[1:])
