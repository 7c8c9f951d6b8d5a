"""A generation training that ends with SIGKILL at a chosen moment, in a process of its own."""

from __future__ import annotations

from typing import Any

from rich.console import Console

import kexue.training.generation.run as run_module
import kexue.training.generation.trainer as trainer_module
import kexue.training.resumable as resumable_module
from kexue import manifest
from kexue.diffusion.denoisers import DENOISERS
from kexue.training.generation.recipe import GenerationRecipe
from tests.training.generation.tiny import TinyGAU
from tests.training.killing import Moment, Places, keep_log, kill_at, run_apart

PLACES: Places = {
    "take in a step": (resumable_module._Bookkeeping, "on_step_end"),
    "measure": (trainer_module.GenerationTrainer, "measure"),
    "show samples": (trainer_module.GenerationTrainer, "_show"),
    "save the random state": (trainer_module.GenerationTrainer, "_save_rng_state"),
    "declare a checkpoint complete": (resumable_module, "complete_checkpoint"),
    "write the manifest": (manifest, "write_json"),
    "forget": (run_module, "forget"),
}


def run(values: dict[str, Any], moment: Moment | None = None, processes: int = 1) -> int:
    """Train in another process, or several, killed at a moment if one is given; returns the exit code."""
    return run_apart(_train, values, moment, processes=processes)


def _train(values: dict[str, Any], moment: Moment | None) -> None:
    DENOISERS["gau"] = TinyGAU
    kill_at(PLACES, moment)
    keep_log(run_module)
    run_module.train(GenerationRecipe.from_values(values), console=Console(quiet=True))
