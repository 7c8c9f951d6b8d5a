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
) -> None:
    """Train a drug-safety extractor on real sentences, measure it on others, and get facts out of new ones.

    Example: `kexue demo`
    """
    from kexue.pipelines.demo import run_demo

    quiet()
    run_demo(output, epochs=epochs, seed=seed, console=out)
