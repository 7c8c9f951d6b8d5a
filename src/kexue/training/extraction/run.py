"""A recipe to a trained extractor in a folder: the one way a model is made."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from transformers import PreTrainedModel, TrainerCallback

from kexue.encoders.loading import load_encoder
from kexue.encoders.tokenization import TextTokenizer
from kexue.extraction.checkpoint import Checkpoint, save_checkpoint
from kexue.extraction.decision import Decision, decide
from kexue.extraction.document import Document
from kexue.extraction.heads import HEADS
from kexue.extraction.inference import Found
from kexue.extraction.judge import calibration_errors, judge
from kexue.extraction.links import close_gold
from kexue.extraction.metrics import evaluate
from kexue.extraction.model import ExtractionConfig, ExtractionModel
from kexue.extraction.reach import Reach
from kexue.extraction.schema import Schema
from kexue.manifest import MANIFEST
from kexue.ops.device import choose_device
from kexue.provenance import describe_origin
from kexue.training.course import begin, carry_out, first_voice
from kexue.training.extraction.data import TrainingData, load_training_data
from kexue.training.extraction.dataset import ExtractionDataset
from kexue.training.extraction.recipe import ExtractionRecipe
from kexue.training.extraction.trainer import ExtractionTrainer
from kexue.training.memory import CONTENT, forget, refuse_finished
from kexue.training.network import choose_attention, default_learning_rate, enable_gradient_checkpointing

FLOOR = -3.0  # scores above it are candidates when confidences and thresholds are chosen


def train(recipe: ExtractionRecipe, *, console: Console | None = None, overwrite: bool = False) -> Path:
    """Train on the recipe's files, choose confidences and thresholds on dev, and write the model.

    Resumes where an interrupted training with the same recipe and data stopped. Raises `DataError`, `SchemaError` or
    `OptionError` before any work if files, labels or options are wrong. Under `torchrun` every process calls it, and
    the first one writes and prints.
    """
    console = first_voice(console)
    refuse_finished(recipe.output, MANIFEST, overwrite=overwrite)
    data = load_training_data(recipe)
    description = begin(recipe, _content(data), (f"note: {note}" for note in data.notes), console)
    return carry_out(
        recipe,
        description,
        console,
        describe_measures=describe_scores,
        origin=partial(_origin, recipe, data, description),
        build=lambda progress: make_trainer(recipe, data, console, callbacks=[progress]),
        finish=partial(_finish, recipe),
    )


def make_trainer(
    recipe: ExtractionRecipe, data: TrainingData, console: Console, callbacks: Sequence[TrainerCallback] = ()
) -> ExtractionTrainer:
    """The model on its encoder, the datasets, and the trainer around them."""
    encoder, tokenizer = load_encoder(recipe.encoder, texts=[item.text for item in data.train])
    text_tokenizer = TextTokenizer(tokenizer)
    choose_attention(encoder, choose_device(recipe.device))
    dataset = ExtractionDataset(data.train, text_tokenizer, HEADS[recipe.head].task.encoder(data.schema))
    reach = Reach.of((example.links for example in dataset.examples), data.train)
    model = build_model(encoder, data.schema, recipe, reach=reach, max_window=text_tokenizer.max_window)
    _note_alignment(dataset, console)
    return ExtractionTrainer(
        model,
        text_tokenizer,
        dataset,
        data.dev,
        recipe,
        encoder_lr=recipe.encoder_lr or default_learning_rate(recipe.encoder, encoder.config.hidden_size),
        callbacks=callbacks,
    )


def build_model(
    encoder: PreTrainedModel,
    schema: Schema,
    recipe: ExtractionRecipe,
    *,
    reach: Reach | None = None,
    max_window: int | None = None,
) -> ExtractionModel:
    """A fresh head on an encoder, with windows no wider than the encoder takes."""
    window = min(recipe.window, max_window or recipe.window)
    reach = reach or Reach()
    config = ExtractionConfig(
        encoder=encoder.config.to_dict(),
        schema=schema.to_json(),
        head=recipe.head,
        head_dim=recipe.head_dim,
        efficient=recipe.efficient,
        span_rotary=recipe.span_rotary,
        link_rotary=recipe.link_rotary,
        casrel=recipe.casrel,
        hidden_dropout=recipe.hidden_dropout,
        window=window,
        overlap=min(recipe.overlap, window // 2),
        span_width=reach.span_width,
        link_distance=reach.link_distance,
        sentence_distance=reach.sentence_distance,
        sentences=reach.sentences,
    )
    model = ExtractionModel(config, encoder).to(choose_device(recipe.device))
    if recipe.gradient_checkpointing:
        enable_gradient_checkpointing(encoder)
    return model


def _note_alignment(dataset: ExtractionDataset, console: Console) -> None:
    unplaced = sum(len(example.links.unplaced) for example in dataset.examples)
    inexact = sum(example.links.inexact for example in dataset.examples)
    for count, what in (
        (unplaced, "annotations could not be placed in their text; they are not trained on"),
        (inexact, "spans have gaps, or begin or end inside a token; the covering tokens are trained on"),
    ):
        if count:
            console.print(f"note: {count} {what} (kexue doctor shows them)", highlight=False)


def _origin(recipe: ExtractionRecipe, data: TrainingData, description: dict[str, Any]) -> dict[str, Any]:
    """The provenance of the model that is to be trained."""
    return describe_origin(
        {"train": [recipe.train], "dev": [recipe.dev] if recipe.dev is not None else []},
        content=description[CONTENT],
        texts=(document.text for document in data.train),
        device=str(choose_device(recipe.device)),
    )


def _finish(recipe: ExtractionRecipe, trainer: ExtractionTrainer, seconds: float, origin: dict[str, Any]) -> None:
    """Choose the decision on dev with the best weights, and write the model."""
    model: ExtractionModel = trainer.accelerator.unwrap_model(trainer.model).eval()
    found = list(trainer.find_dev(floor=FLOOR))
    judgement = judge(trainer.dev, found, model.head.labels)
    decision = decide(judgement.entities, judgement.relations, model.head.labels.predicates, floor=FLOOR)
    metrics = {
        "dev": judgement.f1(),
        "dev_report": _report(model, trainer.dev, found, decision),
        "dev_calibration_error": calibration_errors(judgement, decision),
        "training_seconds": seconds,
        "steps": trainer.state.global_step,
    }
    model.config.dtype = None
    tokenizer = trainer.text_tokenizer.tokenizer
    checkpoint = Checkpoint(model, tokenizer, decision, recipe.to_json(), metrics, provenance=origin)
    save_checkpoint(checkpoint, recipe.output)
    forget(recipe.output)


def _report(
    model: ExtractionModel, dev: Sequence[Document], found: Sequence[Found], decision: Decision
) -> dict[str, Any]:
    """Dev as it will be extracted, with the thresholds that were chosen on it, and intervals."""
    head, predicted = model.head, [Document("")] * len(dev)
    for item in found:
        text = dev[item.index].text
        predicted[item.index] = head.task.assemble(text, item.tokens, item.candidates, head.labels, decision)
    return evaluate(close_gold(dev, head.labels.schema), predicted).summary()


def _content(data: TrainingData) -> Iterator[bytes]:
    for document in (*data.train, *data.dev):
        yield json.dumps(document.to_json(), default=str).encode()


def describe_scores(measured: dict[str, float]) -> str:
    """The dev measures as one line: precision, recall and F1 of every kind of fact."""
    kinds = [name.removesuffix("_f1") for name in measured if name.endswith("_f1")]
    return "; ".join(
        f"{kind} P {measured[f'{kind}_precision']:.3f} R {measured[f'{kind}_recall']:.3f} "
        f"F1 {measured[f'{kind}_f1']:.3f}"
        for kind in kinds
    )
