"""A recipe to a pre-trained encoder in a folder: the one way it is made."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase, TrainerCallback

from kexue.cards import model_folder
from kexue.encoders.loading import position_limit, quiet_transformers
from kexue.encoders.masked_lm import load_masked_lm
from kexue.encoders.tokenization import TextTokenizer
from kexue.manifest import MANIFEST
from kexue.ops.device import choose_device
from kexue.provenance import describe_origin
from kexue.training.course import begin, carry_out, first_voice
from kexue.training.memory import forget, refuse_finished
from kexue.training.network import choose_attention, default_learning_rate, enable_gradient_checkpointing
from kexue.training.pretraining.budget import budget_file, with_epochs
from kexue.training.pretraining.data import PretrainingData, forget_corpus, load_pretraining_data
from kexue.training.pretraining.dataset import Batches, text_lengths
from kexue.training.pretraining.masking import Masking
from kexue.training.pretraining.recipe import EPOCHS, PretrainingRecipe
from kexue.training.pretraining.texts import Texts
from kexue.training.pretraining.trainer import PretrainingTrainer
from kexue.training.pretraining.words import best_segmenter
from kexue.training.progress import ProgressReport

KIND = "pre-trained encoder"
FORMAT = (1, 0)  # a folder with a higher first number is refused


def pretrain(recipe: PretrainingRecipe, *, console: Console | None = None, overwrite: bool = False) -> Path:
    """Train on the recipe's texts and write the encoder, with its vocabulary and the head that predicts.

    Resumes where an interrupted training with the same recipe and texts stopped. Raises `DataError` or `OptionError`
    before any work if files or options are wrong. Under `torchrun` every process calls it, and the first one writes
    and prints.
    """
    console = first_voice(console)
    refuse_finished(recipe.output, MANIFEST, overwrite=overwrite)
    recipe = recipe.model_copy(update={"segmenter": recipe.segmenter or best_segmenter()})
    data = load_pretraining_data(recipe)
    description = begin(recipe, [data.digest.encode()], data.notes, console)

    def build(progress: ProgressReport) -> PretrainingTrainer:
        trainer = make_trainer(_with_end(recipe, data, console), [progress], data=data)
        console.print(f"guessing by frequency alone: {describe_scores(trainer.guess)}", highlight=False)
        return trainer

    return carry_out(
        recipe,
        description,
        console,
        describe_measures=describe_scores,
        origin=partial(_origin, recipe, data),
        build=build,
        finish=partial(_finish, recipe, tokenizer=data.tokenizer),
    )


def _with_end(recipe: PretrainingRecipe, data: PretrainingData, console: Console) -> PretrainingRecipe:
    """The recipe with its number of epochs, if need be as many as fit into its minutes."""
    if recipe.minutes is None:
        return recipe.model_copy(update={"epochs": recipe.epochs or EPOCHS})
    chosen = with_epochs(recipe, partial(make_trainer, data=data))
    console.print(f"{recipe.minutes:g} minutes are enough for {chosen.epochs:.2f} epochs", highlight=False)
    return chosen


def make_trainer(
    recipe: PretrainingRecipe, callbacks: Sequence[TrainerCallback] = (), *, data: PretrainingData
) -> PretrainingTrainer:
    """The model, its batches, and the trainer around them."""
    model = load_masked_lm(recipe.encoder, data.tokenizer)
    recipe = recipe.model_copy(update={"warmup": default_warmup(model) if recipe.warmup is None else recipe.warmup})
    rate = recipe.learning_rate or default_learning_rate(recipe.encoder, model.config.hidden_size)
    _prepare(model, recipe)
    tokenizer, masking = TextTokenizer(data.tokenizer), Masking.of(data.tokenizer, recipe.mask_rate)
    longest = min(recipe.max_length, position_limit(model) or recipe.max_length)
    batches = partial(
        Batches,
        text_tokenizer=tokenizer,
        masking=masking,
        batch_size=recipe.batch_size,
        lengths=text_lengths(longest, recipe.min_length),
        seed=recipe.seed,
    )
    train, dev = batches(data.train, data.train_documents), batches(data.dev, data.dev_documents)
    return PretrainingTrainer(model.to(choose_device(recipe.device)), train, dev, recipe, rate, callbacks)


def _prepare(model: PreTrainedModel, recipe: PretrainingRecipe) -> None:
    """Settings for the time of the training; the configuration keeps its own."""
    choose_attention(model, choose_device(recipe.device))
    model.config.sparse_prediction = True  # for models that know it: only what is hidden is scored
    if recipe.dropout is not None:
        for module in model.modules():
            if isinstance(module, nn.Dropout):
                module.p = recipe.dropout
    if recipe.gradient_checkpointing:
        enable_gradient_checkpointing(model)


def default_warmup(model: PreTrainedModel) -> float:
    """None for gated attention units: that is the claim of kexue.fm/archives/8990; a little for the others."""
    return 0.0 if model.config.model_type == "gau" else 0.06


def _origin(recipe: PretrainingRecipe, data: PretrainingData) -> dict[str, Any]:
    """The provenance of the encoder that is to be trained; texts that are read from a cache may be gone."""
    texts = [path for path in recipe.texts if path.exists()]
    return describe_origin(
        {"texts": recipe.texts, "dev": [recipe.dev] if recipe.dev is not None else []},
        content=data.digest,
        texts=Texts(texts, recipe.format, recipe.key),
        device=str(choose_device(recipe.device)),
    )


def _finish(
    recipe: PretrainingRecipe,
    trainer: PretrainingTrainer,
    seconds: float,
    origin: dict[str, Any],
    tokenizer: PreTrainedTokenizerBase,
) -> None:
    """Write the encoder with the weights that were kept; the manifest comes last."""
    model: PreTrainedModel = trainer.accelerator.unwrap_model(trainer.model).eval()
    model.config.sparse_prediction = False
    model.config.dtype = None
    metrics = {
        "dev": trainer.best_measure(),
        "guess": trainer.guess,
        "steps": trainer.state.global_step,
        "training_seconds": seconds,
    }
    content = {"kind": KIND, "recipe": recipe.to_json(), "metrics": metrics, "provenance": origin}
    with model_folder(recipe.output, content, FORMAT) as folder, quiet_transformers():
        model.save_pretrained(folder, safe_serialization=True)
        tokenizer.save_pretrained(folder)
    forget(recipe.output)
    budget_file(recipe.output).unlink(missing_ok=True)
    if recipe.cache is None:
        forget_corpus(recipe)


def describe_scores(measured: dict[str, float]) -> str:
    """The measures on dev as one line."""
    return f"{measured['accuracy']:.1%} of hidden words right, perplexity {measured['perplexity']:.4g}"
