"""`kexue evaluate`: a model, or a file of predictions, against gold."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kexue.cli.console import err, out, quiet


def evaluate(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="Folder of a trained model or its hub id, or a file of predictions that `kexue extract` wrote.",
        ),
    ],
    data: Annotated[Path, typer.Argument(help="Gold: annotated text in any format that `kexue convert` reads.")],
    output: Annotated[Path | None, typer.Option(help="Write the report as JSON.")] = None,
    page: Annotated[
        Path | None, typer.Option(help="Write one HTML page that shows the errors in their sentences.")
    ] = None,
    predictions: Annotated[Path | None, typer.Option(help="Write what the model found, as JSON Lines.")] = None,
    precision: Annotated[
        float | None, typer.Option(help="Use the thresholds that reached this precision on dev.")
    ] = None,
    bootstrap: Annotated[int, typer.Option(min=0, help="Resamples for the 95% intervals.")] = 1000,
    format: Annotated[
        str | None, typer.Option("--format", help="Format of the data, where detection is wrong.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1.")] = None,
) -> None:
    """Measure precision, recall and F1, with intervals, breakdowns and errors.

    Example: `kexue evaluate runs/mine test.jsonl --output report.json --page errors.html`
    """
    from kexue.errors import OptionError
    from kexue.extraction.formats import read_documents, write_documents
    from kexue.extraction.metrics import evaluate as measure
    from kexue.extraction.metrics import page as make_page
    from kexue.extraction.metrics import render
    from kexue.files import atomic_write, write_json
    from kexue.pipelines.evaluation import close_gold, predict_and_judge
    from kexue.pipelines.extractor import Extractor

    quiet()
    gold = read_documents(data, format).documents
    extra = {}
    if Path(model).is_file():
        if precision is not None:
            raise OptionError("--precision chooses thresholds of a model, and this is a file of predictions")
        predicted = read_documents(model, "native").documents
    else:
        extractor = Extractor.from_pretrained(model, device=device)
        if precision is not None:
            extractor = extractor.with_precision(precision)
        gold = close_gold(gold, extractor.schema)
        predicted, extra = predict_and_judge(extractor, gold)
    evaluation = measure(gold, predicted, bootstrap_samples=bootstrap)
    if output is not None:
        write_json(output, evaluation.to_json() | extra)
    if page is not None:
        with atomic_write(page) as file:
            file.write(make_page(evaluation, gold, predicted))
    if predictions is not None:
        write_documents(predicted, predictions, "native")
    render(evaluation, out)
    for kind, errors in extra.get("calibration_error", {}).items():
        out.print(f"expected calibration error, {kind}: {errors['before']:.3f} before, {errors['after']:.3f} after")
    for path in (output, page, predictions):
        if path is not None:
            err.print(f"wrote {path}", highlight=False)
