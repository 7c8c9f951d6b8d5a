"""What ends a training with SIGKILL at a chosen moment, in a process of its own; each job names its moments."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Mapping
from multiprocessing import get_context
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, NoReturn

from kexue.benchmarks.peers.launch import free_port

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


def run_apart(train: Callable[..., None], *arguments: Any, processes: int = 1) -> int:
    """Call a function of a module in another process; returns its exit code.

    Several make a group, as those that torchrun starts: when one fails, the others are ended.
    """
    group = [{}] if processes == 1 else group_of(processes)
    running = [PROCESSES.Process(target=_call, args=(place, train, arguments)) for place in group]
    for process in running:
        process.start()
    while alive := [process for process in running if process.exitcode is None]:
        wait([process.sentinel for process in alive])
        if failed := [process for process in running if process.exitcode]:
            for process in alive:
                process.kill()
                process.join()
            return int(failed[0].exitcode or 0)
    return 0


def group_of(processes: int) -> list[dict[str, str]]:
    """What torchrun tells each process of a group on one machine."""
    size, port = str(processes), str(free_port())
    shared = {"WORLD_SIZE": size, "LOCAL_WORLD_SIZE": size, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    return [shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(processes)]


def _call(environment: dict[str, str], train: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    os.environ.update(environment)
    train(*arguments)


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

    def logged(recipe: Any, trainer: Any, *rest: Any, **others: Any) -> None:
        Path(f"{recipe.output}.log.json").write_text(json.dumps(trainer.state.log_history))
        finish(recipe, trainer, *rest, **others)

    run_module._finish = logged
