"""`kexue demo`: the main job on data inside the package, in minutes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kexue.cli.console import out, quiet


def demo(
    output: Annotated[Path, typer.Option(help="Folder for the model, the report and the page.")] = Path("demo"),
    epochs: Annotated[float, typer.Option(help="Passes over the training sentences.")] = 5,
    seed: Annotated[int, typer.Option(help="Seed of the training.")] = 42,
    images: Annotated[
        bool, typer.Option("--images", help="Train a generator of handwritten digits instead, and draw some.")
    ] = False,
    image_epochs: Annotated[float, typer.Option(help="Passes over the training digits.")] = 40,
) -> None:
    """Train a drug-safety extractor on real sentences, measure it on others, and get facts out of new ones.

    Example: `kexue demo`

    Example: `kexue demo --images`
    """
    quiet()
    if images:
        from kexue.pipelines.image_demo import run_image_demo

        run_image_demo(output / "images", epochs=image_epochs, seed=seed, console=out)
        return
    from kexue.pipelines.demo import run_demo

    run_demo(output, epochs=epochs, seed=seed, console=out)
