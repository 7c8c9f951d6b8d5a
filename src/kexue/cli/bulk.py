"""What `kexue extract` and `kexue generate` share where they write folders of shards: options, engine, progress."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from kexue.cli.console import err, say

if TYPE_CHECKING:
    from kexue.pipelines.sharded import Engine, Total

PANEL = "Many files, many workers: OUTPUT is a folder of shards"
ENGINES = ("plain", "ray")

EngineName = Annotated[
    str,
    typer.Option(help="plain: this process; ray: Ray Data, here or where RAY_ADDRESS says.", rich_help_panel=PANEL),
]
Workers = Annotated[
    int | None,
    typer.Option(min=1, help="Processes that hold the model (ray); as many as fit.", rich_help_panel=PANEL),
]
CpusPerWorker = Annotated[int, typer.Option(min=1, help="Threads of a worker (ray).", rich_help_panel=PANEL)]
GpusPerWorker = Annotated[
    float | None,
    typer.Option(min=0.0, help="GPUs of a worker, or its part of one, such as 0.5 (ray).", rich_help_panel=PANEL),
]
ShardSize = Annotated[
    int | None, typer.Option(min=1, help="Lines, rows or images that become one shard.", rich_help_panel=PANEL)
]


def choose_engine(
    name: str, workers: int | None, cpus_per_worker: int, gpus_per_worker: float | None, device: str | None
) -> Engine:
    """The engine of a name with its options; raises `OptionError` for those that do not go together."""
    from kexue.errors import OptionError, unknown
    from kexue.pipelines.sharded import OneByOne

    if name not in ENGINES:
        raise OptionError(unknown("engine", name, ENGINES))
    if name == "plain":
        if workers is not None or cpus_per_worker != 1 or gpus_per_worker is not None:
            raise OptionError("--workers, --cpus-per-worker and --gpus-per-worker go with --engine ray")
        return OneByOne(device)
    if device is not None:
        raise OptionError("--device is for --engine plain; Ray gives its workers devices by --gpus-per-worker")
    from kexue.integrations.ray import RayEngine, import_ray

    import_ray()
    return RayEngine(workers, cpus_per_worker, gpus_per_worker)


class ShardProgress:
    """A bar of shards on a terminal, and a line after each elsewhere."""

    def __init__(self, verb: str, items: str) -> None:
        self.items = items
        self._bar = Progress(
            TextColumn(verb),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[found]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=err,
            disable=not err.is_terminal,
        )
        self._task = self._bar.add_task(verb, total=None, found="")

    def __enter__(self) -> ShardProgress:
        self._bar.start()
        return self

    def __exit__(self, *error: Any) -> None:
        self._bar.stop()

    def __call__(self, total: Total) -> None:
        """Show how far the job is."""
        found = f"{total.items} {self.items}, {total.done} of {total.pieces} shards"
        self._bar.update(self._task, total=total.pieces, completed=total.done, found=found)
        if not err.is_terminal:
            say(found)
