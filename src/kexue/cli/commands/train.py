"""`kexue train`: annotated text to an extractor, images to a generator.

On several GPUs, or with several processes on a CPU, the same command runs under torchrun; a step still takes
`batch_size` documents, which the processes share:

    torchrun --nproc_per_node 2 -m kexue train train.jsonl --dev dev.jsonl --output runs/mine
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from kexue.cli.console import err, out, quiet
from kexue.cli.inputs import look_for


def train(
    data: Annotated[
        str,
        typer.Argument(
            metavar="TRAIN",
            help="Annotated text in any format that `kexue convert` reads; images: a folder, .npz, .parquet, "
            "hub:OWNER/NAME, digits or tiles; or a recipe (.toml).",
        ),
    ],
    dev: Annotated[
        str | None,
        typer.Option(
            help="Annotated text to choose epoch, confidences and thresholds on, or images to measure on; a tenth of "
            "TRAIN where left out."
        ),
    ] = None,
    job: Annotated[str | None, typer.Option(help="extraction or generation, where the data do not tell.")] = None,
    output: Annotated[
        Path | None, typer.Option(help="Folder for the model; the same command resumes an interrupted training.")
    ] = None,
    encoder: Annotated[
        str | None,
        typer.Option(help="Hub id or folder of any encoder, or gau-tiny, gau-small, gau-base: from scratch."),
    ] = None,
    epochs: Annotated[float | None, typer.Option(help="At most so many passes over TRAIN.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Documents or images in a step.")] = None,
    encoder_lr: Annotated[float | None, typer.Option(help="Learning rate of the encoder.")] = None,
    head_lr: Annotated[float | None, typer.Option(help="Learning rate of the head.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of weights, dropout and order.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu or cuda; the best there is where left out.")] = None,
    format: Annotated[
        str | None, typer.Option("--format", help="Format of the data, where detection is wrong.")
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Any other key of a recipe, e.g. --set ema=0 --set window=510."
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a finished model in the folder.")] = False,
) -> None:
    """Train an extractor of facts from text, or a generator of images.

    Example: `kexue train train.jsonl --dev dev.jsonl --output runs/mine`

    Example: `kexue train pictures/ --output runs/pictures --epochs 200 --set preset=small --set size=32`
    """
    look_for(data, dev)
    from kexue.training.job import choose_job
    from kexue.training.processes import is_first_process
    from kexue.training.recipe import parse_assignments

    quiet()
    given: dict[str, Any] = {
        "dev": dev,
        "output": output,
        "encoder": encoder,
        "epochs": epochs,
        "batch_size": batch_size,
        "encoder_lr": encoder_lr,
        "head_lr": head_lr,
        "seed": seed,
        "device": device,
        "format": format,
    }
    overrides = {key: value for key, value in given.items() if value is not None} | parse_assignments(set_ or [])
    chosen = choose_job(data, job)
    recipe_class, run = _load(chosen)
    if Path(data).suffix == ".toml":
        recipe = recipe_class.from_file(data, overrides)
    else:
        recipe = recipe_class.from_values({"train": data} | overrides, source="options")
    folder = run(recipe, console=err, overwrite=overwrite)
    if is_first_process():
        out.print(str(folder), highlight=False, markup=False)


def _load(job: str) -> tuple[Any, Any]:
    """The recipe and the training of a job; only that job's packages are imported."""
    if job == "generation":
        from kexue.training.generation.recipe import GenerationRecipe
        from kexue.training.generation.run import train as train_generator

        return GenerationRecipe, train_generator
    from kexue.training.extraction.recipe import ExtractionRecipe
    from kexue.training.extraction.run import train as train_extractor

    return ExtractionRecipe, train_extractor
