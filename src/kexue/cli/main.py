"""The command `kexue`: verbs, options, and nothing else; the work is done by the packages below."""

from __future__ import annotations

from typing import Annotated

import typer

import kexue
from kexue.cli import commands
from kexue.cli.console import one_line_errors

app = typer.Typer(
    name="kexue",
    help="Train extractors on your own annotated text and generators on your own images, and use them.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"kexue {kexue.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


app.command()(commands.demo.demo)
app.command()(commands.train.train)
app.command()(commands.pretrain.pretrain)
app.command()(commands.evaluate.evaluate)
app.command()(commands.extract.extract)
app.command()(commands.export.export)
app.command()(commands.generate.generate)
app.command()(commands.convert.convert)
app.command()(commands.doctor.doctor)
app.command()(commands.info.info)
app.command()(commands.serve.serve)
app.command()(commands.suggest.suggest)
app.command()(commands.study.study)
app.add_typer(commands.graph.graph)
app.command()(commands.bench.bench)


def main() -> None:
    """Run the command line; errors that a user can mend become one line and exit code 2."""
    with one_line_errors():
        app()
