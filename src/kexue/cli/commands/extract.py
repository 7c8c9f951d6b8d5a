"""`kexue extract`: text to facts."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from kexue.cli.bulk import (
    PANEL,
    CpusPerWorker,
    EngineName,
    GpusPerWorker,
    ShardProgress,
    ShardSize,
    Workers,
    choose_engine,
)
from kexue.cli.console import err, quiet, say
from kexue.cli.inputs import look_for, look_for_model

if TYPE_CHECKING:
    from kexue.pipelines.bulk_extraction import ExtractionOptions
    from kexue.pipelines.extractor import Extractor
    from kexue.pipelines.sharded import Engine

STREAM_CHUNK = 256  # documents that are read from a pipe before their results are written


def extract(
    model: Annotated[str, typer.Argument(help="Folder of a trained model, or its hub id.")],
    input: Annotated[
        Path | None,
        typer.Argument(
            help='Text, one document a line, or JSON Lines with a "text"; stdin where left out. A folder or a pattern '
            "of such files and of Parquet becomes a folder of shards."
        ),
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
    batch_tokens: Annotated[
        int | None, typer.Option(min=1, help="Tokens in a batch; what suits the device where left out.")
    ] = None,
    dtype: Annotated[str, typer.Option(help="float32, or bfloat16 where the hardware has it (faster).")] = "float32",
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1.")] = None,
    compile: Annotated[
        bool, typer.Option("--compile", help="Compile the encoder first, for about a minute; then it runs faster.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a finished OUTPUT file.")] = False,
    engine: EngineName = "plain",
    workers: Workers = None,
    cpus_per_worker: CpusPerWorker = 1,
    gpus_per_worker: GpusPerWorker = None,
    shard_size: ShardSize = None,
    format: Annotated[str, typer.Option(help="Of the shards: jsonl or parquet.", rich_help_panel=PANEL)] = "jsonl",
    max_characters: Annotated[
        int | None,
        typer.Option(min=1, help="Longer documents are put into quarantine; a million.", rich_help_panel=PANEL),
    ] = None,
) -> None:
    """Find entities and relations in text.

    Example: `echo "Aspirin caused a rash." | kexue extract runs/mine`

    Example: `kexue extract runs/mine texts/ --output facts/ --engine ray --workers 8`
    """
    look_for_model(model)
    look_for(input)
    from kexue.errors import OptionError
    from kexue.extraction.formats import table_of_suffix
    from kexue.pipelines.bulk import check_output
    from kexue.pipelines.bulk_extraction import ExtractionOptions
    from kexue.pipelines.pieces import is_bulk
    from kexue.pipelines.reading import MAX_CHARACTERS

    quiet()
    if output is not None and input is None:
        raise OptionError("--output needs an INPUT file, so that an interrupted run can resume; or redirect stdout")
    most = max_characters or MAX_CHARACTERS
    options = ExtractionOptions(precision, threshold, dtype, batch_tokens, most, format, compile)  # type: ignore[arg-type]
    chosen = choose_engine(engine, workers, cpus_per_worker, gpus_per_worker, device)
    shards = engine == "ray" or shard_size is not None or format != "jsonl" or max_characters is not None
    if input is not None and (shards or is_bulk(input)):
        if output is None:
            raise OptionError(f"{input}: shards are written to a folder: name it with --output FOLDER")
        if overwrite:
            raise OptionError(f"{output}: --overwrite is for one file; remove a folder of shards to begin it anew")
        _to_folder(model, input, output, options, shard_size, chosen)
        return
    if shards:
        raise OptionError("shards need an INPUT file, folder or pattern, and --output FOLDER")
    if output is not None and table_of_suffix(output) is not None:
        lines = output.with_suffix(".jsonl")
        raise OptionError(f"{output}: one file is JSON Lines; name it {lines}, then: kexue convert {lines} {output}")
    if input is not None and output is not None:
        check_output(input, output, overwrite=overwrite)
    extractor = options.load(model, device)
    if input is None or output is None:
        _to_stdout(extractor, input, batch_tokens)
    else:
        _to_file(extractor, input, output, batch_tokens, overwrite=overwrite)


def _to_stdout(extractor: Extractor, input: Path | None, batch_tokens: int | None) -> None:
    from kexue.pipelines.bulk import extract_stream, read_stream

    chunk = 1 if input is None and sys.stdin.isatty() else STREAM_CHUNK
    with nullcontext(sys.stdin.buffer) if input is None else input.open("rb") as lines:
        documents = read_stream(lines, source="stdin" if input is None else str(input))
        extract_stream(extractor, documents, sys.stdout.buffer, chunk=chunk, batch_tokens=batch_tokens)


def _to_file(extractor: Extractor, input: Path, output: Path, batch_tokens: int | None, *, overwrite: bool) -> None:
    from kexue.pipelines.bulk import Progress as Done
    from kexue.pipelines.bulk import extract_file, kept
    from kexue.pipelines.extractor import CHUNK

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
        task = bar.add_task("extracting", total=input.stat().st_size, documents=0)

        def report(done: Done) -> None:
            bar.update(task, completed=done.position, documents=done.documents)
            if not err.is_terminal:
                err.print(f"{done.documents} documents", highlight=False)

        try:
            count = extract_file(
                extractor, input, output, report=report, batch_tokens=batch_tokens, overwrite=overwrite
            )
        except KeyboardInterrupt:
            done = kept(output)
            say(
                f"interrupted: {done} documents are kept beside {output}, and the same command goes on from there"
                if done
                else f"interrupted: nothing is kept yet, because {CHUNK} documents at a time are done and written"
            )
            raise
    err.print(f"{count} documents -> {output}", highlight=False, markup=False)


def _to_folder(
    model: str,
    input: Path,
    output: Path,
    options: ExtractionOptions,
    shard_size: int | None,
    engine: Engine,
) -> None:
    from kexue.pipelines.bulk_extraction import extract_folder
    from kexue.pipelines.pieces import SHARD_SIZE
    from kexue.pipelines.sharded import QUARANTINE

    with ShardProgress("extracting", "documents") as report:
        total = extract_folder(
            model,
            input,
            output,
            options,
            shard_size=shard_size or SHARD_SIZE,
            engine=engine,
            report=report,
        )
    if total.rejected:
        say(f"{total.rejected} could not be read as documents: {output / QUARANTINE} has them and why")
    say(f"{total.items} documents in {total.done} shards -> {output}")
