"""A generator in a service: one drawing after the other, each shown as it comes out of the noise, or given up."""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from kexue.diffusion.images.pixels import Pixels
from kexue.diffusion.images.writing import arrange_grid, as_png
from kexue.diffusion.randomness import seeded
from kexue.diffusion.samplers import SAMPLERS, Sampler
from kexue.diffusion.sampling import Progress
from kexue.errors import KexueError
from kexue.pipelines.generator import Condition, Generator
from kexue.server.batcher import Batcher
from kexue.server.host import Host

PREVIEWS = 20  # pictures of an unfinished drawing, at most

Show = Callable[[int, Tensor], None]


class GivenUpError(KexueError):
    """Nobody waits for the drawing any more."""


@dataclass(frozen=True, slots=True, eq=False)
class Drawing:
    """Images that were asked for; `show` sees (step, images) on the way, setting `given_up` ends it."""

    num: int
    sampler: Sampler
    num_steps: int
    seed: int = 0
    condition: Condition = field(default_factory=Condition)
    show: Show | None = None
    given_up: threading.Event = field(default_factory=threading.Event)

    def follow(self, progress: Progress) -> None:
        """Called after each step."""
        if self.given_up.is_set():
            raise GivenUpError
        every = -(-progress.num_steps // PREVIEWS)
        if self.show is not None and progress.index % every == 0 and progress.index < progress.num_steps - 1:
            self.show(progress.index + 1, progress.preview)


class GeneratorHost(Host[Drawing, Pixels]):
    """A generator that draws what it is asked for, one request after the other."""

    job = "generation"

    def __init__(self, name: str, generator: Generator, *, latency: float) -> None:
        self.generator = generator
        super().__init__(name, Batcher(self._draw, _cost, budget=latency, rate=100.0, largest=1))

    def _draw(self, batch: list[Drawing]) -> list[Pixels]:
        (drawing,) = batch
        images = self.generator.sample(
            drawing.num,
            sampler=drawing.sampler,
            num_steps=drawing.num_steps,
            generator=seeded(range(drawing.seed, drawing.seed + drawing.num)),
            condition=drawing.condition,
            callback=drawing.follow,
        )
        return [self.generator.pixels(images)]

    def grid(self, images: Tensor) -> str:
        """Images as the `data:` address of one PNG."""
        return self.picture(self.generator.pixels(images))

    def picture(self, pixels: Pixels) -> str:
        """Images uint8[num, h, w, c] as the `data:` address of one PNG."""
        return png_address(arrange_grid(pixels))

    def describe(self) -> dict[str, Any]:
        """What a client may want to know of the model."""
        return {
            "name": self.name,
            "job": self.job,
            "shape": list(self.generator.shape),
            "labels": list(self.generator.label_names),
            "samplers": list(SAMPLERS),
            "dev": self.generator.metrics.get("dev", {}),
        }


def _cost(drawing: Drawing) -> float:
    return float(drawing.num * drawing.num_steps)


def png_address(picture: Pixels) -> str:
    """uint8[h, w, c] as the `data:` address of a PNG."""
    return "data:image/png;base64," + base64.b64encode(as_png(picture)).decode()
