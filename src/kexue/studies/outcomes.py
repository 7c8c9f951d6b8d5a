"""What the trainings of a study came to, made one after the other or several at a time.

Every outcome is a line of a file as soon as it is there: a study that was stopped goes on where it was, also on another
machine.
"""

from __future__ import annotations

import json
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Protocol, TypeVar

import torch

from kexue.studies.options import StudyOptions

Key = tuple[str | int, ...]


@dataclass(frozen=True)
class TrainingOutcome(ABC):
    """Of one training; every study has fields of its own, which JSON can hold, and says them in one line."""

    @property
    @abstractmethod
    def key(self) -> Key:
        """What the training is known by: the data it was made on, what is compared, and the seed."""

    @abstractmethod
    def __str__(self) -> str: ...


T = TypeVar("T", bound=TrainingOutcome)
T_co = TypeVar("T_co", bound=TrainingOutcome, covariant=True)


class Training(Protocol[T_co]):
    """One training to be made; it goes to another process where there are several workers."""

    @property
    def key(self) -> Key:
        """What it is known by, as its outcome."""

    def run(self) -> T_co:
        """Train and measure."""


def outcomes_of(
    trainings: Sequence[Training[T]], outcome: type[T], path: Path, options: StudyOptions
) -> Iterator[dict[Key, T]]:
    """All outcomes so far, first those that the file holds already, then again after every training that was not there.

    They come in the order of `trainings`; lines of the file that belong to none of these stay there.
    """
    known = {found.key: found for found in _read(path, outcome)}

    def wanted() -> dict[Key, T]:
        return {training.key: known[training.key] for training in trainings if training.key in known}

    yield wanted()
    for found in _run([training for training in trainings if training.key not in known], options.workers):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(found)) + "\n")
        known[found.key] = found
        options.say(f"    {found}")
        yield wanted()


def _read(path: Path, outcome: type[T]) -> Iterator[T]:
    for line in path.read_text("utf-8").splitlines() if path.exists() else []:
        yield outcome(**json.loads(line))


def _run(trainings: Sequence[Training[T]], workers: int) -> Iterator[T]:
    """As they are finished; in this process where there is but one worker."""
    if workers < 2:
        yield from (training.run() for training in trainings)
        return
    with ProcessPoolExecutor(workers, get_context("spawn"), _begin) as pool:
        for future in as_completed([pool.submit(training.run) for training in trainings]):
            yield future.result()


def _begin() -> None:
    """A worker has one thread, or all of them would wait for each other."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    torch.set_num_threads(1)
