"""`kexue suggest`: which texts to annotate next, with what the model would say of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kexue.cli.console import err, out, quiet
from kexue.cli.inputs import look_for, look_for_model


def suggest(
    model: Annotated[str, typer.Argument(help="Folder of a trained model, or its hub id.")],
    pool: Annotated[
        Path, typer.Argument(help='Texts to choose from: a text a line, JSON Lines with a "text", any other format.')
    ],
    output: Annotated[
        Path,
        typer.Option(help="NAME.json: tasks for Label Studio, and its interface beside them; NAME.jsonl: native."),
    ] = Path("tasks.json"),
    num: Annotated[int, typer.Option(min=1, help="How many texts to choose.")] = 100,
    known: Annotated[
        list[Path] | None, typer.Option(help="File whose texts are annotated already and are not chosen again.")
    ] = None,
    diversity: Annotated[
        float,
        typer.Option(help="What a fact is still worth once a chosen text asks for it; 1 ranks by uncertainty alone."),
    ] = 0.5,
    per: Annotated[str, typer.Option(help="What is to be told most per: text, or character that is read.")] = "text",
    format: Annotated[str | None, typer.Option("--format", help="Format of POOL, where detection is wrong.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1.")] = None,
) -> None:
    """Choose the texts whose annotation would tell the model most, and annotate them beforehand.

    Example: `kexue suggest runs/mine notes.txt --known train.jsonl --num 100 --output tasks.json`

    Then annotate, export the project as JSON, and: `kexue convert export.json more.jsonl`
    """
    look_for_model(model)
    look_for(pool, *(known or ()))
    from kexue.files import refuse_inputs
    from kexue.pipelines.extractor import Extractor
    from kexue.pipelines.suggestions import read_pool, write_suggestions
    from kexue.pipelines.suggestions import suggest as choose

    quiet()
    refuse_inputs([output], [pool, *(known or ())])
    texts = {document.text for path in known or () for document in read_pool(path)}
    documents = read_pool(pool, format)
    extractor = Extractor.from_pretrained(model, device=device)
    found = choose(extractor, documents, num=num, diversity=diversity, per=per, known=texts)
    written = write_suggestions(found, extractor.schema, output)
    err.print(
        f"{len(found.chosen)} of {len(documents)} texts; {found.known} annotated already, {found.twice} stand twice",
        highlight=False,
    )
    for path in written:
        out.print(str(path), highlight=False, markup=False)
