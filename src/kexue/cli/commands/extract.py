"""`kexue extract`: text to facts."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from kexue.cli.console import err, quiet


def extract(
    model: Annotated[str, typer.Argument(help="Folder of a trained model, or its hub id.")],
    input: Annotated[
        Path | None,
        typer.Argument(help='Text, one document a line, or JSON Lines with a "text"; stdin where left out.'),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(help="JSON Lines file; stdout where left out. The same command resumes an interrupted run."),
    ] = None,
    precision: Annotated[
        float | None,
        typer.Option(help="Use the thresholds that reached this precision on dev: 0.8, 0.85, 0.9, 0.95 or 0.99."),
    ] = None,
    threshold: Annotated[float | None, typer.Option(help="Report everything from this confidence on.")] = None,
    batch_tokens: Annotated[int, typer.Option(help="Tokens in a batch.")] = 2048,
    dtype: Annotated[str, typer.Option(help="float32, or bfloat16 where the hardware has it (faster).")] = "float32",
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1.")] = None,
) -> None:
    """Find entities and relations in text.

    Example: `echo "Aspirin caused a rash." | kexue extract runs/mine`
    """
    from kexue.errors import OptionError
    from kexue.pipelines.bulk import Progress as Done
    from kexue.pipelines.bulk import extract_file, extract_stream, read_stream
    from kexue.pipelines.extractor import Extractor

    quiet()
    if dtype not in ("float32", "bfloat16"):
        raise OptionError(f"--dtype is float32 or bfloat16, got {dtype!r}")
    if output is not None and input is None:
        raise OptionError("--output needs an INPUT file, so that an interrupted run can resume; or redirect stdout")
    extractor = Extractor.from_pretrained(model, device=device, dtype=dtype)  # type: ignore[arg-type]
    if precision is not None:
        extractor = extractor.with_precision(precision)
    if threshold is not None:
        extractor = extractor.with_threshold(threshold)
    if input is None or output is None:
        source = sys.stdin if input is None else input.open(encoding="utf-8-sig", newline="\n")
        documents = read_stream(source, source="stdin" if input is None else str(input))
        chunk = 1 if sys.stdin.isatty() and input is None else 256
        extract_stream(extractor, documents, sys.stdout, chunk=chunk, batch_tokens=batch_tokens)
        return
    identity = {"model": str(Path(model).resolve()), "options": [precision, threshold, dtype]}
    size = input.stat().st_size if input.is_file() else 0
    with Progress(
        TextColumn("extracting"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[documents]} documents"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=err,
        disable=not err.is_terminal,
    ) as bar:
        task = bar.add_task("extracting", total=size, documents=0)

        def report(done: Done) -> None:
            bar.update(task, completed=done.position, documents=done.documents)
            if not err.is_terminal:
                err.print(f"{done.documents} documents", highlight=False)

        count = extract_file(extractor, input, output, identity=identity, report=report, batch_tokens=batch_tokens)
    err.print(f"{count} documents -> {output}", highlight=False)
