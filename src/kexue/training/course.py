"""The course of every training, from data that were read to a finished folder: who speaks, what is kept, and when."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console
from transformers import set_seed

from kexue.training.memory import describe, refuse_other_training, remember
from kexue.training.processes import is_first_process, leave_together
from kexue.training.progress import ProgressReport
from kexue.training.recipe import TrainingRecipe
from kexue.training.resumable import ResumableTrainer

Trained = TypeVar("Trained", bound=ResumableTrainer)


def first_voice(console: Console | None) -> Console:
    """The console given, or a new one; in all processes but the first one that is silent."""
    return (console or Console()) if is_first_process() else Console(quiet=True)


def begin(recipe: TrainingRecipe, content: Iterable[bytes], notes: Iterable[str], console: Console) -> dict[str, Any]:
    """Print the notes on the data, and return the description of this training of them.

    Raises `OptionError` where the folder holds an unfinished training of something else.
    """
    description = describe(recipe, content)
    refuse_other_training(recipe.output, description)
    for note in notes:
        console.print(note, highlight=False, markup=False)
    return description


def carry_out(
    recipe: TrainingRecipe,
    description: dict[str, Any],
    console: Console,
    *,
    describe_measures: Callable[[dict[str, float]], str],
    origin: Callable[[], dict[str, Any]],
    build: Callable[[ProgressReport], Trained],
    finish: Callable[[Trained, float, dict[str, Any]], None],
) -> Path:
    """Build the trainer, train from where an interrupted training stopped, and finish with the weights that were kept.

    `finish`, in the first process only, is told the trainer, the seconds of the training and the origin, which was
    asked for before it began.
    """
    came_from = origin() if is_first_process() else {}
    set_seed(recipe.seed)
    with ProgressReport(console, describe_measures) as progress:
        trainer = build(progress)
        if is_first_process():
            remember(recipe.output, description)
        began = time.monotonic()
        trainer.train_or_resume()
    if is_first_process():
        trainer.load_best()
        finish(trainer, round(time.monotonic() - began, 1), came_from)
    leave_together(trainer)
    return recipe.output
