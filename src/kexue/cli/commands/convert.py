"""`kexue convert`: annotated text from one format to another."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kexue.cli.console import err


def convert(
    input: Annotated[Path, typer.Argument(help="File or folder to read.")],
    output: Annotated[Path, typer.Argument(help="File or folder to write; its ending chooses the format.")],
    from_: Annotated[str | None, typer.Option("--from", help="Format of INPUT; detected where left out.")] = None,
    to: Annotated[
        str | None, typer.Option("--to", help="Format of OUTPUT: native, brat, label_studio, doccano, csv or parquet.")
    ] = None,
) -> None:
    """Convert annotated text, for example another project's training file.

    Example: `kexue convert annotations/ train.jsonl --from brat`
    """
    from kexue.extraction.formats import read_documents, write_documents
    from kexue.files import refuse_inputs

    refuse_inputs([output], [input])
    reading = read_documents(input, from_)
    written = write_documents(reading.documents, output, to)
    documents = reading.documents
    unaligned = sum(len(document.unaligned) for document in documents)
    err.print(
        f"{input} ({reading.format}) -> {output} ({written}): {len(documents)} documents, "
        f"{sum(len(document.entities) for document in documents)} entities, "
        f"{sum(len(document.relations) for document in documents)} relations, "
        f"{sum(len(document.events) for document in documents)} events",
        highlight=False,
    )
    if unaligned:
        err.print(
            f"{unaligned} annotations could not be placed in their text; `kexue doctor {output}` shows them",
            highlight=False,
        )
