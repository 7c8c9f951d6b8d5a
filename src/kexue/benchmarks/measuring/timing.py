"""Time of several cases side by side: one after the other, round by round, so that other load hits all alike.

Both clocks are read. Wall time is what a user waits for; processor time, summed over threads, does not count
what other programs took, so with one thread it is the sounder of the two on a busy machine.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
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

    @property
    def sound(self) -> float:
        """The median by the clock that decides: the processor's with one thread, else that on the wall."""
        return self.median_cpu if torch.get_num_threads() == 1 else self.median_wall

    def ratio(self, other: Times) -> Ratio:
        """How many times longer than `other`: the median over rounds of the ratio within a round, and its spread."""
        wall = [mine / its for mine, its in zip(self.wall, other.wall, strict=True)]
        cpu = [mine / its for mine, its in zip(self.cpu, other.cpu, strict=True)]
        return Ratio(median(wall), median(cpu), spread(wall), spread(cpu))

    def scaled(self, factor: float) -> Times:
        """So many times as long."""
        return Times(*(tuple(factor * seconds for seconds in clock) for clock in (self.wall, self.cpu)))


def spread(ratios: Sequence[float]) -> float:
    """How far the ratios of single rounds lie from their median, as a share of it.

    1.4826 times the median distance, which of normal noise is its standard deviation and does not heed an outlier.
    """
    middle = median(ratios)
    return 1.4826 * median(abs(ratio / middle - 1) for ratio in ratios) if middle else 0.0


@dataclass(frozen=True)
class Ratio:
    """By either clock, with its spread over the rounds."""

    wall: float
    cpu: float
    wall_spread: float = 0.0
    cpu_spread: float = 0.0

    @property
    def sound(self) -> float:
        """By the clock that decides about a target: the processor's with one thread, else wall time."""
        return self.cpu if torch.get_num_threads() == 1 else self.wall

    @property
    def spread(self) -> float:
        """Of the sound one."""
        return self.cpu_spread if torch.get_num_threads() == 1 else self.wall_spread

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
