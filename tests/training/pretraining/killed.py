"""A pre-training that ends with SIGKILL at a chosen moment, in a process of its own."""

from __future__ import annotations

from typing import Any

from rich.console import Console

import kexue.training.pretraining.budget as budget_module
import kexue.training.pretraining.corpus as corpus_module
import kexue.training.pretraining.run as run_module
import kexue.training.pretraining.trainer as trainer_module
import kexue.training.resumable as resumable_module
from kexue import manifest
from kexue.encoders.gau import PRESETS
from kexue.training.pretraining.recipe import PretrainingRecipe
from tests.training.killing import Moment, Places, keep_log, kill_at, run_apart
from tests.training.pretraining.tiny import SIZES

PLACES: Places = {
    "append to the corpus": (corpus_module, "_append"),
    "rehearse": (budget_module, "_seconds_to_measure"),
    "take in a step": (resumable_module._Bookkeeping, "on_step_end"),
    "measure": (trainer_module.PretrainingTrainer, "measure"),
    "keep the best": (trainer_module.PretrainingTrainer, "_keep_best"),
    "save the random state": (trainer_module.PretrainingTrainer, "_save_rng_state"),
    "declare a checkpoint complete": (resumable_module, "complete_checkpoint"),
    "write the manifest": (manifest, "write_json"),
    "forget": (run_module, "forget"),
}


def run(values: dict[str, Any], moment: Moment | None = None, processes: int = 1) -> int:
    """Train in another process, or several, killed at a moment if one is given; returns the exit code."""
    return run_apart(_train, values, moment, processes=processes)


def _train(values: dict[str, Any], moment: Moment | None) -> None:
    PRESETS["gau-tiny"] = SIZES
    kill_at(PLACES, moment)
    keep_log(run_module)
    run_module.pretrain(PretrainingRecipe.from_values(values), console=Console(quiet=True))
