"""`kexue export`: a trained extractor for onnxruntime, in float32 or int8."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kexue.cli.console import err, out, quiet
from kexue.cli.inputs import look_for, look_for_model


def export(
    model: Annotated[str, typer.Argument(help="Folder of a trained extractor, or its hub id.")],
    output: Annotated[Path, typer.Argument(help="Folder to write; every command takes it as a model.")],
    int8: Annotated[
        bool, typer.Option("--int8", help="Multiply in integers of 8 bits: faster, nearly as good.")
    ] = False,
    dev: Annotated[
        Path | None,
        typer.Option(help="Annotated text to choose confidences and thresholds on anew, and to state F1 on."),
    ] = None,
    format: Annotated[str | None, typer.Option("--format", help="Format of DEV, where detection is wrong.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a model in the folder.")] = False,
) -> None:
    """Export an extractor to ONNX, for onnxruntime on a CPU.

    Example: `kexue export runs/mine runs/mine-int8 --int8 --dev dev.jsonl`
    """
    look_for_model(model)
    look_for(dev)
    from kexue.errors import OptionError
    from kexue.extraction.formats import read_documents
    from kexue.pipelines.export import export_extractor

    quiet()
    documents = read_documents(dev, format).documents if dev is not None else []
    if dev is not None and not any(document.entities or document.events for document in documents):
        raise OptionError(f"{dev}: holds no annotated entity to choose thresholds on")
    done = export_extractor(model, output, int8=int8, dev=documents, overwrite=overwrite)
    err.print(
        f"{done.precision}: {done.bytes / 2**20:.1f} MB, states differ from PyTorch's by {done.difference:.1g} at most",
        highlight=False,
    )
    for kind, before in done.before.items():
        err.print(f"dev {kind}: F1 {before:.4f} in PyTorch, {done.after[kind]:.4f} exported", highlight=False)
    if int8 and dev is None:
        err.print("thresholds are those chosen in float32; --dev FILE chooses them anew", highlight=False)
    out.print(str(done.folder), highlight=False, markup=False)
