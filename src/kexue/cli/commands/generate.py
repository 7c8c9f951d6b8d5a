"""`kexue generate`: a trained generator to pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kexue.cli.bulk import CpusPerWorker, EngineName, GpusPerWorker, ShardProgress, ShardSize, Workers, choose_engine
from kexue.cli.console import err, out, quiet
from kexue.cli.inputs import look_for_model

if TYPE_CHECKING:
    from kexue.pipelines.bulk_drawing import DrawingOptions
    from kexue.pipelines.sharded import Engine


def generate(
    model: Annotated[
        str,
        typer.Argument(metavar="MODEL", help="Folder of a trained generator, ours or of diffusers, or a hub id."),
    ],
    output: Annotated[
        Path,
        typer.Option(help="NAME.png: a grid; NAME.gif: how it came out of the noise; NAME.npz: arrays; else a folder."),
    ] = Path("grid.png"),
    num: Annotated[int, typer.Option(min=1, help="How many images.")] = 64,
    sampler: Annotated[
        str,
        typer.Option(help="ddim, heun, multistep, adams, predictor_corrector, ... (a wrong name lists all)."),
    ] = "ddim",
    steps: Annotated[int, typer.Option(min=1, help="Steps of the sampler.")] = 50,
    seed: Annotated[int, typer.Option(help="Image i is drawn with seed + i, whatever the others.")] = 0,
    label: Annotated[
        list[str] | None, typer.Option(help="Class of the images, by name; several are taken in turn.")
    ] = None,
    guidance: Annotated[float, typer.Option(help="How strongly the class decides; 1 as learnt.")] = 1.0,
    clip: Annotated[bool, typer.Option("--clip", help="Keep what the network believes within [-1, 1].")] = False,
    batch_size: Annotated[int, typer.Option(min=1, help="Images that go through the network at a time.")] = 64,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A field of the sampler, e.g. --set eta=0.5.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1; the best there is where left out.")] = None,
    engine: EngineName = "plain",
    workers: Workers = None,
    cpus_per_worker: CpusPerWorker = 1,
    gpus_per_worker: GpusPerWorker = None,
    shard_size: ShardSize = None,
) -> None:
    """Draw images.

    Example: `kexue generate runs/digits --num 64 --sampler ddim --steps 20 --output grid.png`

    Example: `kexue generate runs/digits --num 100000 --output images/ --engine ray --workers 8`
    """
    look_for_model(model)
    from itertools import cycle, islice

    from kexue.diffusion.configuration import part_from_json
    from kexue.diffusion.samplers import SAMPLERS
    from kexue.pipelines.bulk_drawing import DrawingOptions
    from kexue.pipelines.drawing import check_output, draw_to_file
    from kexue.pipelines.generator import Condition, Generator
    from kexue.training.recipe import parse_assignments

    quiet()
    chosen_engine = choose_engine(engine, workers, cpus_per_worker, gpus_per_worker, device)
    check_output(output)
    chosen = part_from_json({"name": sampler} | parse_assignments(set_ or []), "sampler", SAMPLERS)
    if engine == "ray" or shard_size:
        options = DrawingOptions(chosen, steps, seed, tuple(label or ()), guidance, clip, batch_size)
        _to_folder(model, output, options, num, shard_size, chosen_engine)
        return
    generator = Generator.from_pretrained(model, device=device)
    labels = list(islice(cycle(label), num)) if label else None
    draw_to_file(
        generator,
        output,
        num=num,
        sampler=chosen,
        num_steps=steps,
        seed=seed,
        condition=Condition(labels, guidance, clip),
        batch_size=batch_size,
        console=err,
    )
    out.print(str(output), highlight=False, markup=False)


def _to_folder(
    model: str,
    output: Path,
    options: DrawingOptions,
    num: int,
    shard_size: int | None,
    engine: Engine,
) -> None:
    from kexue.errors import OptionError
    from kexue.pipelines.bulk_drawing import SHARD_SIZE, draw_folder

    if output.suffix:
        raise OptionError(f"{output}: shards of images are written to a folder: name it with --output FOLDER")
    with ShardProgress("drawing", "images") as report:
        draw_folder(
            model,
            output,
            options,
            num=num,
            shard_size=shard_size or SHARD_SIZE,
            engine=engine,
            report=report,
        )
    out.print(str(output), highlight=False, markup=False)
