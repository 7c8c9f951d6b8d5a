"""Pictures of a generator in a file: a grid, single files, arrays, or how they came out of the noise."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.progress import track

from kexue.diffusion.images import write_gif, write_images
from kexue.diffusion.images.pixels import Pixels
from kexue.diffusion.images.writing import WRITERS
from kexue.diffusion.randomness import seeded
from kexue.diffusion.samplers import Sampler, Step
from kexue.diffusion.sampling import Bar, Progress
from kexue.errors import OptionError
from kexue.pipelines.generator import ANY, BATCH_SIZE, Condition, Generator

MOVING = ".gif"
MOST_FRAMES = 50


class Frames:
    """What the pictures will be as far as is known, after each step."""

    def __init__(self, generator: Generator, num_steps: int) -> None:
        self.generator = generator
        self.every = max(1, -(-num_steps // MOST_FRAMES))
        self._batches: dict[int, list[Pixels]] = {}

    def __call__(self, progress: Progress) -> None:
        """Keep the preview of a step, the last one always."""
        last = progress.index == progress.num_steps - 1
        if last or progress.index % self.every == 0:
            seen = progress.x if last else progress.preview
            self._batches.setdefault(progress.index, []).append(self.generator.pixels(seen))

    def pictures(self) -> list[Pixels]:
        """One uint8[num, height, width, channels] for each kept step."""
        return [np.concatenate(batches) for _, batches in sorted(self._batches.items())]


def check_output(path: Path) -> None:
    """Refuse an ending that nothing can be written as, before any work."""
    if path.suffix.lower() not in (*WRITERS, MOVING):
        raise OptionError(
            f"cannot write images as {path.name!r}: use NAME.png (a grid), NAME.npz, NAME.gif, or a folder"
        )


def draw_to_file(
    generator: Generator,
    output: Path,
    *,
    num: int,
    sampler: Sampler,
    num_steps: int,
    seed: int = 0,
    condition: Condition = ANY,
    batch_size: int = BATCH_SIZE,
    console: Console | None = None,
) -> Pixels:
    """Draw images and write them in the form that the name of `output` asks for; the bytes of all of them.

    Image i is drawn with the seed `seed + i`, whatever the others. Raises `OptionError` for another ending.
    """
    check_output(output)
    frames = Frames(generator, num_steps) if output.suffix.lower() == MOVING else None
    images = generator.stream(
        num,
        sampler=sampler,
        num_steps=num_steps,
        generator=seeded(range(seed, seed + num)),
        condition=condition,
        batch_size=batch_size,
        callback=frames,
        progress=None if console is None else _bar(console, num, batch_size),
    )
    pixels = np.concatenate([generator.pixels(part) for part in images])
    if frames is not None:
        write_gif(output, frames.pictures())
    else:
        write_images(output, pixels)
    return pixels


def _bar(console: Console, num: int, batch_size: int) -> Bar:
    """A bar for each batch, on a terminal only."""
    batches = iter(range(1, -(-num // batch_size) + 1))
    total = -(-num // batch_size)

    def show(steps: Sequence[Step]) -> Iterable[Step]:
        text = f"batch {next(batches)} of {total}"
        return track(steps, text, console=console, disable=not console.is_terminal, transient=True)

    return show
