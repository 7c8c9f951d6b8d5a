"""What ends a training with SIGKILL at a chosen moment, in a process of its own; each job names its moments."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Mapping
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NoReturn

PROCESSES = get_context("forkserver")
PROCESSES.set_forkserver_preload(
    [
        "tests.training.killed",
        "tests.training.generation.killed",
        "tests.training.pretraining.killed",
        "torch.utils.tensorboard",
    ]
)

Moment = tuple[str, int]  # what it is about to do, for which time
Places = Mapping[str, tuple[Any, str]]  # what it can be about to do: an owner and the name of its function


def run_apart(train: Callable[..., None], *arguments: Any) -> int:
    """Call a function of a module in another process; returns its exit code."""
    process = PROCESSES.Process(target=train, args=arguments)
    process.start()
    process.join()
    return int(process.exitcode or 0)


def kill_at(places: Places, moment: Moment | None) -> None:
    """Arrange that this process dies at a moment, if one is given."""
    if moment is None:
        return
    what, time = moment
    owner, name = places[what]
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


def keep_log(run_module: Any) -> None:
    """Keep what was logged beside the model, for it is not part of it."""
    finish = run_module._finish

    def logged(recipe: Any, trainer: Any, *rest: Any) -> None:
        Path(f"{recipe.output}.log.json").write_text(json.dumps(trainer.state.log_history))
        finish(recipe, trainer, *rest)

    run_module._finish = logged
