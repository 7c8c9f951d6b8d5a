"""What a person sees of a training: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments


class ProgressReport(TrainerCallback):
    """Steps, loss and dev measures of a training, on the console given (only the first process writes).

    `describe` puts the measures of one evaluation into a line.

    Used as a context manager it leaves the terminal in order, however the training ends.
    """

    def __init__(self, console: Console, describe: Callable[[dict[str, float]], str]) -> None:
        self.console = console
        self.describe = describe
        self._progress: Progress | None = None
        self._loss = float("nan")

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Open the bar."""
        if state.is_world_process_zero and self.console.is_terminal:
            self._progress = Progress(
                TextColumn("[bold]training[/bold]"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("loss {task.fields[loss]:.3f}"),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
                console=self.console,
            )
            self._progress.start()
            self._task = self._progress.add_task(
                "training", total=state.max_steps, completed=state.global_step, loss=self._loss
            )

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Move the bar."""
        if self._progress is not None:
            self._progress.update(self._task, completed=state.global_step)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        """Show the loss, and the dev scores when there are new ones."""
        logs = logs or {}
        self._loss = logs.get("loss", self._loss)
        if not state.is_world_process_zero:
            return
        if self._progress is not None:
            self._progress.update(self._task, loss=self._loss)
        measured = {key.removeprefix("eval_"): value for key, value in logs.items() if key.startswith("eval_")}
        if measured:
            self.console.print(
                f"epoch {round(state.epoch or 0, 2):g}/{args.num_train_epochs:g}  step {state.global_step}  "
                f"loss {self._loss:.3f}  dev: {self.describe(measured)}",
                highlight=False,
            )

    def __enter__(self) -> ProgressReport:
        return self

    def __exit__(self, *error: object) -> None:
        """Close the bar."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None
