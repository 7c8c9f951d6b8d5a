"""`kexue study`: repeat the study of an article."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kexue.cli.console import err, out


def study(
    name: Annotated[str | None, typer.Argument(help="Which study; left out, they are listed.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Small and one seed, to see that it runs.")] = False,
    output: Annotated[Path, typer.Option(help="Folder for the page and its pictures.")] = Path("studies"),
    data: Annotated[
        list[str] | None, typer.Option(help="NAME=FOLDER of a data set that does not come along; repeat for more.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of everything that is drawn.")] = 0,
    device: Annotated[str | None, typer.Option(help="cpu or cuda, for studies that train.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Trainings at the same time, for studies that train.")] = 1,
    long: Annotated[bool, typer.Option("--long", help="Larger and with more seeds, best on a GPU.")] = False,
) -> None:
    """Repeat the study of an article: its claim, what is measured here, a verdict.

    Example: `kexue study distributions --quick`
    """
    from kexue.studies import STUDIES, StudyOptions, run_study

    if name is None:
        for known, question in STUDIES.items():
            out.print(f"{known}: {question}", highlight=False)
        return
    options = StudyOptions(
        output, quick, seed, _folders(data or []), lambda line: err.print(line, highlight=False), device, workers, long
    )
    typer.echo(run_study(name, options))


def _folders(pairs: list[str]) -> dict[str, Path]:
    from kexue.errors import OptionError

    folders = {}
    for pair in pairs:
        name, sign, folder = pair.partition("=")
        if not (name and sign and folder):
            raise OptionError(f"--data takes NAME=FOLDER, not {pair!r}.")
        folders[name] = Path(folder)
    return folders
