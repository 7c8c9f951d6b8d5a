"""A generation training that ends with SIGKILL at a chosen moment, in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NoReturn

from rich.console import Console

import kexue.training.generation.run as run_module
import kexue.training.generation.trainer as trainer_module
import kexue.training.resumable as resumable_module
from kexue import manifest
from kexue.diffusion.denoisers import DENOISERS
from kexue.training.generation.recipe import GenerationRecipe
from tests.training.generation.tiny import TinyGAU

PROCESSES = get_context("forkserver")
PROCESSES.set_forkserver_preload(["tests.training.generation.killed", "torch.utils.tensorboard"])

Moment = tuple[str, int]  # what it is about to do, for which time
PLACES: dict[str, tuple[Any, str]] = {
    "take in a step": (resumable_module._Bookkeeping, "on_step_end"),
    "measure": (trainer_module.GenerationTrainer, "measure"),
    "show samples": (trainer_module.GenerationTrainer, "_show"),
    "save the random state": (trainer_module.GenerationTrainer, "_save_rng_state"),
    "declare a checkpoint complete": (resumable_module, "complete_checkpoint"),
    "write the manifest": (manifest, "write_json"),
    "forget": (run_module, "forget"),
}


def run(values: dict[str, Any], moment: Moment | None = None) -> int:
    """Train in another process, killed at a moment if one is given; returns its exit code."""
    process = PROCESSES.Process(target=_train, args=(values, moment))
    process.start()
    process.join()
    return int(process.exitcode or 0)


def _train(values: dict[str, Any], moment: Moment | None) -> None:
    DENOISERS["gau"] = TinyGAU
    if moment is not None:
        _kill_at(*moment)
    _write_log()
    run_module.train(GenerationRecipe.from_values(values), console=Console(quiet=True))


def _kill_at(what: str, time: int) -> None:
    owner, name = PLACES[what]
    original: Callable[..., Any] = getattr(owner, name)
    calls = 0

    def counted(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        return _die() if calls == time else original(*args, **kwargs)

    setattr(owner, name, counted)


def _die() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("unreachable")


def _write_log() -> None:
    """Keep what was logged beside the model, for it is not part of it."""
    finish = run_module._finish

    def logged(recipe: Any, trainer: Any, *rest: Any) -> None:
        Path(f"{recipe.output}.log.json").write_text(json.dumps(trainer.state.log_history))
        finish(recipe, trainer, *rest)

    run_module._finish = logged


if __name__ == "__main__":
    _train(json.loads(sys.argv[1]), None)
