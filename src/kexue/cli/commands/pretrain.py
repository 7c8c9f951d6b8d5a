"""`kexue pretrain`: plain text to an encoder for `kexue train --encoder`.

On several GPUs, or with several processes on a CPU, the same command runs under torchrun:

    torchrun --nproc_per_node 2 -m kexue pretrain corpus.txt --output runs/encoder
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from kexue.cli.console import err, out, quiet
from kexue.cli.inputs import look_for


def pretrain(
    texts: Annotated[
        list[Path],
        typer.Argument(
            metavar="TEXT...",
            help="Files or folders: plain text, JSON Lines with the key `text`, or annotated text in any format that "
            "`kexue convert` reads; or a recipe (.toml).",
        ),
    ],
    output: Annotated[
        Path | None, typer.Option(help="Folder for the encoder; the same command resumes an interrupted training.")
    ] = None,
    dev: Annotated[
        Path | None, typer.Option(help="Text to measure on; a fiftieth of the documents where left out.")
    ] = None,
    encoder: Annotated[
        str | None,
        typer.Option(
            help="gau-tiny, gau-small, gau-base: from scratch; a hub id or folder of a masked language model goes on."
        ),
    ] = None,
    epochs: Annotated[float | None, typer.Option(help="Passes over TEXT; 10 where left out.")] = None,
    minutes: Annotated[
        float | None, typer.Option(help="Train for so long instead: how many steps fit is measured at the start.")
    ] = None,
    batch_size: Annotated[int | None, typer.Option(help="Texts of full length in a step.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Highest learning rate; falls to 0.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of weights, dropout, order and what is hidden.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu or cuda; the best there is where left out.")] = None,
    format: Annotated[
        str | None, typer.Option("--format", help="text, jsonl or an annotated format, where detection is wrong.")
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Any other key of a recipe, e.g. --set max_length=256 --set key=body."
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a finished encoder in the folder.")] = False,
) -> None:
    """Pre-train an encoder on plain text: it learns to predict hidden words.

    Example: `kexue pretrain texts.txt more.jsonl --output runs/encoder --minutes 60`

    Then: `kexue train train.jsonl --encoder runs/encoder --output runs/mine`
    """
    look_for(*texts, dev)
    from kexue.training.pretraining.recipe import PretrainingRecipe
    from kexue.training.pretraining.run import pretrain as run
    from kexue.training.processes import is_first_process
    from kexue.training.recipe import parse_assignments

    quiet()
    given: dict[str, Any] = {
        "output": output,
        "dev": dev,
        "encoder": encoder,
        "epochs": epochs,
        "minutes": minutes,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "seed": seed,
        "device": device,
        "format": format,
    }
    overrides = {key: value for key, value in given.items() if value is not None} | parse_assignments(set_ or [])
    if [path.suffix for path in texts] == [".toml"]:
        recipe = PretrainingRecipe.from_file(texts[0], overrides)
    else:
        recipe = PretrainingRecipe.from_values({"texts": texts} | overrides, source="options")
    folder = run(recipe, console=err, overwrite=overwrite)
    if is_first_process():
        out.print(str(folder), highlight=False, markup=False)
