"""An amount of time instead of a number of epochs: the steps that fit into it are found by a rehearsal.

A learning rate that followed the clock would differ from run to run. So the clock is asked once: the same training runs
for some steps on weights that are thrown away, the number of steps that fit is written down, and from then on the
training is an ordinary one of that many steps, also when it is resumed.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback, set_seed

from kexue.files import write_json
from kexue.training.memory import is_remembered
from kexue.training.pretraining.recipe import PretrainingRecipe
from kexue.training.pretraining.trainer import PretrainingTrainer
from kexue.training.processes import from_first_process, is_first_process

STEPS = 48
"""Of a rehearsal at most."""
SHARE = 0.05
"""Of the time that a rehearsal may take."""

Build = Callable[[PretrainingRecipe, Sequence[TrainerCallback]], PretrainingTrainer]


def with_epochs(recipe: PretrainingRecipe, build: Build) -> PretrainingRecipe:
    """The recipe with as many epochs as fit into its minutes, measured now or when the training was begun."""
    assert recipe.minutes is not None
    path = budget_file(recipe.output)
    if is_remembered(recipe.output) and path.exists():
        epochs = json.loads(path.read_text(encoding="utf-8"))["epochs"]
    else:
        epochs = _rehearse(recipe, build)
        if is_first_process():
            write_json(path, {"epochs": epochs})
    return recipe.model_copy(update={"epochs": epochs})


def budget_file(output: Path) -> Path:
    """Where the result of a rehearsal is kept."""
    return output / "training" / "budget.json"


def _rehearse(recipe: PretrainingRecipe, build: Build) -> float:
    began = time.monotonic()
    seconds = 60 * (recipe.minutes or 0)
    folder = recipe.output / "training" / "rehearsal"
    _remove(folder)
    clock = _Clock(SHARE * seconds)
    changes = {"epochs": 1e6, "output": folder, "save_steps": 10**9}
    trainer = build(recipe.model_copy(update=changes), [clock])
    trainer.train()
    steps_in_epoch = -(-len(trainer.sampler) // (recipe.batch_size * recipe.gradient_accumulation))
    each = clock.seconds_per_step() + _seconds_to_measure(trainer) / min(steps_in_epoch, recipe.eval_steps)
    _remove(folder)
    set_seed(recipe.seed)
    steps = max(1, int((seconds - (time.monotonic() - began)) / each))
    return from_first_process((steps - 0.5) / steps_in_epoch)  # the number of steps is rounded up again


def _remove(folder: Path) -> None:
    """Once, and no process goes on before it is gone: the first one writes there at once."""
    if is_first_process():
        shutil.rmtree(folder, ignore_errors=True)
    from_first_process(None)


def _seconds_to_measure(trainer: PretrainingTrainer) -> float:
    began = time.monotonic()
    trainer.measure()
    return time.monotonic() - began


class _Clock(TrainerCallback):
    """Ends a training after some steps or seconds; knows how long a step took, and leaves out what is not a step."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.marks: list[float] = []
        self.elsewhere = 0.0

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if args.device.type == "cuda":
            torch.cuda.synchronize()
        self._last = time.monotonic()
        self.marks.append(self._last - self.elsewhere)
        enough = len(self.marks) >= STEPS or (len(self.marks) > 4 and self.marks[-1] - self.marks[0] > self.seconds)
        control.should_training_stop = from_first_process(enough)

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.elsewhere += time.monotonic() - self._last

    def seconds_per_step(self) -> float:
        """The mean without the first steps, in which buffers are filled and kernels chosen."""
        marks = self.marks[len(self.marks) // 4 :]
        return (marks[-1] - marks[0]) / (len(marks) - 1)
