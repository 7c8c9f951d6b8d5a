"""`kexue doctor`: what is wrong with annotated text, before anyone trains on it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kexue.cli.console import err, out, quiet
from kexue.cli.inputs import look_for


def doctor(
    files: Annotated[list[Path], typer.Argument(help="Annotated files; several are taken as splits of one data set.")],
    encoder: Annotated[
        str | None, typer.Option(help="Encoder whose tokenizer is to be used: hub id or folder.")
    ] = None,
    window: Annotated[int, typer.Option(help="Tokens of text that a model sees together.")] = 254,
    output: Annotated[Path | None, typer.Option(help="Write the findings as JSON.")] = None,
    format: Annotated[
        str | None, typer.Option("--format", help="Format of the data, where detection is wrong.")
    ] = None,
) -> None:
    """Examine annotated text: misplaced, ambiguous, duplicated, overlapping, cut, shared between splits.

    Example: `kexue doctor train.jsonl dev.jsonl test.jsonl`
    """
    look_for(*files)
    from kexue.extraction.doctor import examine, render
    from kexue.extraction.formats import read_documents
    from kexue.files import refuse_inputs, write_json

    refuse_inputs([output], files)
    splits = {}
    for path in sorted(files, key=_order):
        reading = read_documents(path, format)
        splits[path.name if path.name not in splits else str(path)] = reading.documents
        err.print(f"{path}: {len(reading.documents)} documents, read as {reading.format}", highlight=False)
    tokenize = None if encoder is None else _offsets(encoder)
    diagnosis = examine(splits, tokenize=tokenize, max_length=None if encoder is None else window)
    if output is not None:
        write_json(output, diagnosis.to_json())
    render(diagnosis, out)


def _order(path: Path) -> int:
    """Train before dev before test, so that a text in two splits is reported in the later one; else as given."""
    name = path.name.lower()
    return 0 if "train" in name else 2 if "test" in name else 1


def _offsets(encoder: str):  # type: ignore[no-untyped-def]
    from kexue.encoders.loading import load_tokenizer
    from kexue.encoders.tokenization import TextTokenizer

    quiet()
    tokenizer = TextTokenizer(load_tokenizer(encoder))

    def tokenize(text: str) -> list[tuple[int, int]]:
        tokens = tokenizer([text])[0]
        return list(zip(tokens.starts, tokens.ends, strict=True))

    return tokenize
