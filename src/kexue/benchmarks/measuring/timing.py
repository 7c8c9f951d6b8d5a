"""Time of several cases side by side: one after the other, round by round, so that other load hits all alike.

Both clocks are read. Wall time is what a user waits for; processor time, summed over threads, does not count
what other programs took, so with one thread it is the sounder of the two on a busy machine.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import NamedTuple

import torch

from kexue.benchmarks.measuring.report import number


class Elapsed(NamedTuple):
    """Seconds by both clocks."""

    wall: float
    cpu: float


class Stopwatch:
    """Runs from when it is made."""

    def __init__(self) -> None:
        self._start = Elapsed(time.perf_counter(), time.process_time())

    def read(self) -> Elapsed:
        """Seconds since the start."""
        return Elapsed(time.perf_counter() - self._start.wall, time.process_time() - self._start.cpu)


Run = Callable[[], object]
"""A case; one that has preparations to leave out returns the seconds that count, as `Elapsed`."""


@dataclass(frozen=True)
class Times:
    """Seconds of each round."""

    wall: tuple[float, ...]
    cpu: tuple[float, ...]

    def each(self, scale: float) -> str:
        """Both medians times `scale`: wall / processor."""
        return f"{number(scale * self.median_wall)} / {number(scale * self.median_cpu)}"

    @property
    def median_wall(self) -> float:
        """Of the rounds."""
        return median(self.wall)

    @property
    def median_cpu(self) -> float:
        """Of the rounds."""
        return median(self.cpu)

    def ratio(self, other: Times) -> Ratio:
        """How many times longer than `other`: the median over rounds of the ratio within a round."""
        return Ratio(
            wall=median(mine / its for mine, its in zip(self.wall, other.wall, strict=True)),
            cpu=median(mine / its for mine, its in zip(self.cpu, other.cpu, strict=True)),
        )


@dataclass(frozen=True)
class Ratio:
    """By either clock."""

    wall: float
    cpu: float

    @property
    def sound(self) -> float:
        """By the clock that decides about a target: the processor's with one thread, else wall time."""
        return self.cpu if torch.get_num_threads() == 1 else self.wall

    def __str__(self) -> str:
        return f"{number(self.wall)} / {number(self.cpu)}"


def interleaved(
    cases: Mapping[str, Run], rounds: int, *, repeats: Mapping[str, int] | None = None, warm_up: bool = True
) -> dict[str, Times]:
    """Run every case once to warm up, then once in each round.

    `repeats` names short cases that are run several times a round, of which the mean counts.
    """
    repeats = repeats or {}
    if warm_up:
        for run in cases.values():
            run()
    seconds = [{name: _time(run, repeats.get(name, 1)) for name, run in cases.items()} for _ in range(rounds)]
    return {
        name: Times(tuple(row[name].wall for row in seconds), tuple(row[name].cpu for row in seconds)) for name in cases
    }


def _time(run: Run, repeats: int) -> Elapsed:
    watch = Stopwatch()
    for _ in range(repeats):
        own = run()
    if isinstance(own, Elapsed):
        return own
    wall, cpu = watch.read()
    return Elapsed(wall / repeats, cpu / repeats)
