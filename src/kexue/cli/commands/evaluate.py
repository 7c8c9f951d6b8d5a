"""`kexue evaluate`: an extractor, or a file of predictions, against gold; a generator against real images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from kexue.cli.console import err, out, quiet
from kexue.cli.inputs import look_for, look_for_model

GENERATORS = "Options for generators"


def evaluate(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="Folder of a trained model or its hub id, or a file of predictions that `kexue extract` wrote.",
        ),
    ],
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA",
            help="Gold: annotated text in any format that `kexue convert` reads; for a generator real images.",
        ),
    ],
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
    card: Annotated[
        bool, typer.Option("--card/--no-card", help="Keep the result in the model's folder and in its model card.")
    ] = True,
    num: Annotated[int, typer.Option(min=4, help="Generators: images to draw.", rich_help_panel=GENERATORS)] = 1000,
    sampler: Annotated[
        str, typer.Option(help="Generators: see `kexue generate`.", rich_help_panel=GENERATORS)
    ] = "ddim",
    steps: Annotated[int, typer.Option(min=1, help="Generators: steps of it.", rich_help_panel=GENERATORS)] = 50,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Generators: a field of the sampler, e.g. --set eta=1.0.",
            rich_help_panel=GENERATORS,
        ),
    ] = None,
    features: Annotated[
        Path | None,
        typer.Option(
            help="Generators: the network of FID and KID as a TorchScript file; pixels are compared without it.",
            rich_help_panel=GENERATORS,
        ),
    ] = None,
    likelihood: Annotated[
        int,
        typer.Option(min=0, help="Generators: images to measure bits per value on.", rich_help_panel=GENERATORS),
    ] = 0,
    neighbours: Annotated[
        Path | None,
        typer.Option(
            help="Generators: picture (.png) of the images nearest to training images.", rich_help_panel=GENERATORS
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Generators: seed of the images.", rich_help_panel=GENERATORS)] = 0,
) -> None:
    """Measure precision, recall and F1 of an extractor, or how near, varied and new the images of a generator are.

    Example: `kexue evaluate runs/mine test.jsonl --output report.json --page errors.html`

    Example: `kexue evaluate runs/digits digits --neighbours near.png --likelihood 64`
    """
    if not Path(model).is_file():
        look_for_model(model)
    look_for(data, features)
    from kexue.diffusion.checkpoint import holds_generator
    from kexue.files import refuse_inputs
    from kexue.training.recipe import parse_assignments

    quiet()
    refuse_inputs([output, page, predictions, neighbours], [Path(model), Path(data)])
    if holds_generator(model):
        _evaluate_generator(
            model,
            data,
            output,
            num,
            sampler,
            parse_assignments(set_ or []),
            steps,
            features,
            likelihood,
            neighbours,
            seed=seed,
            device=device,
            card=card,
        )
        return
    _evaluate_extractor(model, Path(data), output, page, predictions, precision, bootstrap, format, device, card=card)


def _evaluate_generator(
    model: str,
    data: str,
    output: Path | None,
    num: int,
    sampler: str,
    fields: dict[str, Any],
    steps: int,
    features: Path | None,
    likelihood: int,
    neighbours: Path | None,
    *,
    seed: int,
    device: str | None,
    card: bool,
) -> None:
    from kexue.diffusion.configuration import part_from_json
    from kexue.diffusion.images.packaged import find_source
    from kexue.diffusion.images.writing import write_png
    from kexue.diffusion.samplers import SAMPLERS
    from kexue.files import write_json
    from kexue.pipelines.evaluation import keep_evaluation
    from kexue.pipelines.generator import Generator
    from kexue.pipelines.image_evaluation import choose_images, evaluate_generator, load_features

    generator = Generator.from_pretrained(model, device=device)
    real, training = choose_images(generator, data)
    err.print(f"real: {real.summary()}", highlight=False, markup=False)
    report = evaluate_generator(
        generator,
        real,
        training,
        features=load_features(features, generator.device),
        num=num,
        sampler=part_from_json({"name": sampler} | fields, "sampler", SAMPLERS),
        num_steps=steps,
        num_likelihood=likelihood,
        seed=seed,
    )
    for line in report.lines():
        out.print(line, highlight=False, markup=False)
    if output is not None:
        write_json(output, report.values)
        err.print(f"wrote {output}", highlight=False)
    if neighbours is not None and report.neighbours is not None:
        write_png(neighbours, report.neighbours)
        err.print(f"wrote {neighbours}", highlight=False)
    if card:
        settings = {"num": num, "sampler": sampler, **fields, "steps": steps, "seed": seed}
        _say_card(keep_evaluation(model, find_source(data), report.values, settings))


def _say_card(path: Path | None) -> None:
    if path is not None:
        err.print(f"wrote {path}", highlight=False, markup=False)


def _evaluate_extractor(
    model: str,
    data: Path,
    output: Path | None,
    page: Path | None,
    predictions: Path | None,
    precision: float | None,
    bootstrap: int,
    format: str | None,
    device: str | None,
    *,
    card: bool,
) -> None:
    from kexue.errors import OptionError
    from kexue.extraction.formats import read_documents, write_documents
    from kexue.extraction.links import close_gold
    from kexue.extraction.metrics import evaluate as measure
    from kexue.extraction.metrics import page as make_page
    from kexue.extraction.metrics import render
    from kexue.files import atomic_write, write_json
    from kexue.pipelines.evaluation import keep_evaluation, predict_and_judge
    from kexue.pipelines.extractor import Extractor

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
    if card:
        settings = {} if precision is None else {"precision": precision}
        _say_card(keep_evaluation(model, data, evaluation.summary() | extra, settings))
