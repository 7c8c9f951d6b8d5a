"""A training that ends with SIGKILL at a chosen moment, in a process of its own."""

from __future__ import annotations

from typing import Any

from rich.console import Console

import kexue.training.checkpoints as checkpoints_module
import kexue.training.extraction.run as run_module
import kexue.training.extraction.trainer as trainer_module
import kexue.training.resumable as resumable_module
from kexue import manifest as manifest_module
from kexue.cards import writing as writing_module
from kexue.training.extraction.recipe import ExtractionRecipe
from tests.training.killing import PROCESSES, Moment, Places, keep_log, kill_at, run_apart

PLACES: Places = {
    "take in a step": (resumable_module._Bookkeeping, "on_step_end"),
    "judge dev": (trainer_module.ExtractionTrainer, "find_dev"),
    "keep the best": (trainer_module.ExtractionTrainer, "_keep_best"),
    "log": (trainer_module.ExtractionTrainer, "log"),
    "save": (trainer_module.ExtractionTrainer, "_save_checkpoint"),
    "save the random state": (trainer_module.ExtractionTrainer, "_save_rng_state"),
    "save the average": (resumable_module.ExponentialMovingAverage, "save"),
    "declare a checkpoint complete": (resumable_module, "complete_checkpoint"),
    "discard a checkpoint": (checkpoints_module, "_discard_all_but"),
    "load the best": (trainer_module.ExtractionTrainer, "load_best"),
    "decide": (run_module, "decide"),
    "write the model": (writing_module, "atomic_folder"),
    "write the manifest": (manifest_module, "write_json"),
    "forget": (run_module, "forget"),
}


def run(values: dict[str, Any], moment: Moment | None = None, processes: int = 1) -> int:
    """Train in another process, or several, killed at a moment if one is given; returns the exit code."""
    return run_apart(_train, values, moment, processes=processes)


def start(values: dict[str, Any]) -> Any:
    """Train in another process, to be killed from outside."""
    process = PROCESSES.Process(target=_train, args=(values, None))
    process.start()
    return process


def _train(values: dict[str, Any], moment: Moment | None) -> None:
    kill_at(PLACES, moment)
    keep_log(run_module)
    run_module.train(ExtractionRecipe.from_values(values), console=Console(quiet=True))
