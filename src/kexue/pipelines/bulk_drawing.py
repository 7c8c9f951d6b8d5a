"""Ranges of seeds to a folder of shards of images: what `kexue generate` does for more than fit in memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from kexue.diffusion.configuration import part_to_json
from kexue.diffusion.images.writing import write_npz
from kexue.diffusion.randomness import seeded
from kexue.diffusion.samplers import Sampler
from kexue.errors import CheckpointError, KexueError, OptionError
from kexue.pipelines.generator import BATCH_SIZE, Condition, Generator
from kexue.pipelines.hub import resolved
from kexue.pipelines.sharded import Done, Engine, OneByOne, Total, Worker, run_job

SHARD_SIZE = 1024  # images


@dataclass(frozen=True)
class Seeds:
    """Images `first` to `first + count - 1`, which become the shard `index`."""

    index: int
    first: int
    count: int


@dataclass(frozen=True)
class DrawingOptions:
    """How images are drawn: image i with the seed `seed + i`, the classes `labels` in turn."""

    sampler: Sampler
    num_steps: int
    seed: int = 0
    labels: tuple[str, ...] = ()
    guidance: float = 1.0
    clip: bool = False
    batch_size: int = BATCH_SIZE

    def condition(self, seeds: Seeds) -> Condition:
        """Of the images of a piece."""
        numbers = range(seeds.first, seeds.first + seeds.count)
        labels = [self.labels[number % len(self.labels)] for number in numbers] if self.labels else None
        return Condition(labels, self.guidance, self.clip)

    def to_json(self) -> dict[str, Any]:
        """What decides the images."""
        return {**vars(self), "sampler": part_to_json(self.sampler), "labels": list(self.labels)}


@dataclass(frozen=True)
class Drawing:
    """The work of drawing images into shards in `output`; `fingerprint` is that of the model."""

    model: str
    options: DrawingOptions
    output: Path
    fingerprint: str

    def open(self, device: str | None) -> Worker:
        """Load the model; raises `CheckpointError` if it is not the one the job was begun with."""
        generator = Generator.from_pretrained(self.model, device=device)
        if generator.fingerprint != self.fingerprint:
            raise CheckpointError(f"{self.model}: a worker has another model under this name than the job was given")
        return partial(self.draw, generator)

    def draw(self, generator: Generator, seeds: Seeds) -> Done:
        """Make the shard of a piece: arrays that `kexue train` and `kexue evaluate` read, with labels where given."""
        first, options = self.options.seed + seeds.first, self.options
        condition = options.condition(seeds)
        images = generator.stream(
            seeds.count,
            sampler=options.sampler,
            num_steps=options.num_steps,
            generator=seeded(range(first, first + seeds.count)),
            condition=condition,
            batch_size=options.batch_size,
        )
        pixels = np.concatenate([generator.pixels(part) for part in images])
        names, labels = generator.label_names, None
        if options.labels:
            labels = np.array([names.index(label) for label in condition.labels])
        shard = self.shard(seeds.index)
        write_npz(shard, pixels, labels=labels, label_names=names if options.labels else ())
        return Done(seeds.index, seeds.count, 0, shard.stat().st_size)

    def shard(self, index: int) -> Path:
        """Where the shard of a piece is written."""
        return self.output / f"images-{index:05}.npz"

    def lost(self, pieces: Sequence[Seeds]) -> KexueError:
        """What to say of pieces that ended the processes of all workers that tried them."""
        return OptionError(
            f"images {pieces[0].first} to {pieces[0].first + pieces[0].count - 1} ended every worker that tried them, "
            f"which is mostly a lack of memory: {len(pieces)} shards are missing, all others are done; the same "
            "command with fewer --workers tries these again, and a smaller --batch-size in a new folder needs less"
        )


def draw_folder(
    model: str,
    output: Path,
    options: DrawingOptions,
    *,
    num: int,
    shard_size: int = SHARD_SIZE,
    engine: Engine = OneByOne(),  # noqa: B008  (frozen)
    report: Callable[[Total], None] = lambda total: None,
) -> Total:
    """Draw `num` images into a folder of shards; the same call resumes.

    The images are those of `draw_to_file` with the same seeds, to the byte where `shard_size` is a multiple of the
    batch size, so that the same images are drawn together. Raises `OptionError` if it is not, if the folder was begun
    with another model or other options, and for labels the model does not know.
    """
    if shard_size % options.batch_size:
        raise OptionError(f"--shard-size {shard_size} is no multiple of --batch-size {options.batch_size}")
    generator = Generator.from_pretrained(model, device="cpu")
    generator.denoiser(Condition(list(options.labels) or None), len(options.labels))
    identity = {"job": "drawing", "model": generator.fingerprint, "options": options.to_json(), "num": num}
    work = Drawing(resolved(model), options, output.resolve(), generator.fingerprint)
    del generator
    plan = partial(plan_seeds, num, shard_size)
    return run_job(output.resolve(), identity | {"shard size": shard_size}, plan, work, engine, report)


def plan_seeds(num: int, shard_size: int, before: Mapping[str, Any] | None) -> tuple[dict[str, Any], list[Seeds]]:
    """The pieces of so many images; they follow from the numbers, so that nothing has to be noted."""
    firsts = range(0, num, shard_size)
    return {}, [Seeds(index, first, min(shard_size, num - first)) for index, first in enumerate(firsts)]
