"""A recipe to a trained extractor in a folder: the one way a model is made."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from transformers import PreTrainedModel, PreTrainedTokenizerBase, set_seed

from kexue.encoders.gau import PRESETS
from kexue.encoders.loading import load_encoder
from kexue.encoders.tokenization import TextTokenizer
from kexue.errors import OptionError
from kexue.extraction.checkpoint import MANIFEST, Checkpoint, save_checkpoint
from kexue.extraction.decision import decide
from kexue.extraction.judge import calibration_errors
from kexue.extraction.model import ExtractionConfig, ExtractionModel
from kexue.extraction.schema import Schema
from kexue.files import atomic_write
from kexue.training.data import TrainingData, load_training_data
from kexue.training.dataset import ExtractionDataset
from kexue.training.progress import ProgressReport
from kexue.training.recipe import Recipe
from kexue.training.trainer import BEST, ExtractionTrainer, device_of

MEMORY = "recipe.json"  # in the training folder: what an interrupted training was begun with
FLOOR = -3.0  # scores above it are candidates when confidences and thresholds are chosen
PRETRAINED_LR, SCRATCH_LR = 1e-4, 1e-3  # of the encoder, where the recipe names none
FREE_TO_CHANGE = ("output", "device", "save_steps")  # a resumed training may differ in these


def train(recipe: Recipe, *, console: Console | None = None, overwrite: bool = False) -> Path:
    """Train on the recipe's files, choose confidences and thresholds on dev, and write the model.

    Resumes where an interrupted training with the same recipe stopped. Raises `DataError`, `SchemaError` or
    `OptionError` before any work if files, labels or options are wrong.
    """
    console = console or Console()
    _check_output(recipe, overwrite=overwrite)
    data = load_training_data(recipe)
    for note in data.notes:
        console.print(f"note: {note}", highlight=False, markup=False)
    set_seed(recipe.seed)
    trainer, tokenizer = make_trainer(recipe, data, console)
    _remember(recipe)
    began = time.monotonic()
    trainer.train_or_resume()
    trainer.load_best()
    if trainer.is_world_process_zero():
        _finish(recipe, trainer, tokenizer, time.monotonic() - began)
    return recipe.output


def make_trainer(
    recipe: Recipe, data: TrainingData, console: Console
) -> tuple[ExtractionTrainer, PreTrainedTokenizerBase]:
    """The model on its encoder, the datasets, and the trainer around them."""
    encoder, tokenizer = load_encoder(recipe.encoder, texts=[item.text for item in data.train])
    model = build_model(encoder, data.schema, recipe)
    text_tokenizer = TextTokenizer(tokenizer)
    dataset = ExtractionDataset(data.train, text_tokenizer, data.schema)
    _note_alignment(dataset, console)
    trainer = ExtractionTrainer(
        model,
        text_tokenizer,
        dataset,
        data.dev,
        recipe,
        encoder_lr=recipe.encoder_lr or (SCRATCH_LR if recipe.encoder in PRESETS else PRETRAINED_LR),
        callbacks=[ProgressReport(console)],
    )
    return trainer, tokenizer


def build_model(encoder: PreTrainedModel, schema: Schema, recipe: Recipe) -> ExtractionModel:
    """A fresh head on an encoder."""
    config = ExtractionConfig(
        encoder=encoder.config.to_dict(),
        schema=schema.to_json(),
        head=recipe.head,
        head_dim=recipe.head_dim,
        efficient=recipe.efficient,
        link_rotary=recipe.link_rotary,
        hidden_dropout=recipe.hidden_dropout,
        window=recipe.window,
        overlap=recipe.overlap,
    )
    return ExtractionModel(config, encoder).to(device_of(recipe))


def _note_alignment(dataset: ExtractionDataset, console: Console) -> None:
    unplaced = sum(len(example.links.unplaced) for example in dataset.examples)
    inexact = sum(example.links.inexact for example in dataset.examples)
    for count, what in (
        (unplaced, "annotations could not be placed in their text; they are not trained on"),
        (inexact, "spans begin or end inside a token; the covering tokens are trained on"),
    ):
        if count:
            console.print(f"note: {count} {what} (kexue doctor shows them)", highlight=False)


def _finish(recipe: Recipe, trainer: ExtractionTrainer, tokenizer: PreTrainedTokenizerBase, seconds: float) -> None:
    """Choose the decision on dev with the best weights, and write the model."""
    model: ExtractionModel = trainer.accelerator.unwrap_model(trainer.model).eval()
    judgement = trainer.judge_dev(floor=FLOOR)
    decision = decide(judgement.entities, judgement.relations, model.head.labels.schema.predicates, floor=FLOOR)
    metrics = {
        "dev": judgement.f1(),
        "dev_calibration_error": calibration_errors(judgement, decision),
        "training_seconds": round(seconds, 1),
        "steps": trainer.state.global_step,
    }
    model.config.dtype = None
    save_checkpoint(Checkpoint(model, tokenizer, decision, recipe.to_json(), metrics), recipe.output)
    _forget(recipe)


def _forget(recipe: Recipe) -> None:
    """Remove what only an unfinished training needs; the TensorBoard logs stay."""
    folder = recipe.output / "training"
    for path in [*folder.glob("checkpoint-*"), folder / BEST]:
        shutil.rmtree(path, ignore_errors=True)
    (folder / MEMORY).unlink(missing_ok=True)


def _check_output(recipe: Recipe, *, overwrite: bool) -> None:
    """Refuse a folder that holds a finished model, or a training of another recipe."""
    if (recipe.output / MANIFEST).exists() and not overwrite:
        raise OptionError(f"{recipe.output} already holds a finished model; choose another --output or --overwrite it")
    memory = recipe.output / "training" / MEMORY
    if memory.exists():
        before = json.loads(memory.read_text(encoding="utf-8"))
        now = _comparable(recipe)
        other = sorted(key for key in before.keys() | now.keys() if before.get(key) != now.get(key))
        if other:
            raise OptionError(
                f"{recipe.output} holds an unfinished training with other values of {', '.join(other)}: give the same "
                "ones to resume it, or choose another --output, or remove the folder"
            )


def _comparable(recipe: Recipe) -> dict[str, Any]:
    return {key: value for key, value in recipe.to_json().items() if key not in FREE_TO_CHANGE}


def _remember(recipe: Recipe) -> None:
    with atomic_write(recipe.output / "training" / MEMORY) as file:
        json.dump(_comparable(recipe), file, ensure_ascii=False, indent=2)
