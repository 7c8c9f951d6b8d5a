"""A command and everything it starts, watched from outside: memory of each process over time, processor time of all."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from statistics import median

import psutil

INTERVAL = 0.25  # seconds between two looks


@dataclass
class Watched:
    """What was seen of commands that ran side by side."""

    wall: float = 0.0
    roots: tuple[int, ...] = ()
    """The processes of the commands themselves."""
    names: dict[int, str] = field(default_factory=dict)
    """What each process called itself last; some change their title while they run."""
    memory: dict[int, list[tuple[float, float]]] = field(default_factory=lambda: defaultdict(list))
    """(seconds, resident megabytes) of each process."""
    processor: dict[int, float] = field(default_factory=dict)
    """Seconds of each process until it was seen last."""

    @property
    def cpu(self) -> float:
        """Processor seconds of all processes together."""
        return sum(self.processor.values())

    def look(self, began: float, processes: Sequence[psutil.Process]) -> None:
        """Note the memory and the processor time of processes that are still there."""
        for process in processes:
            try:
                with process.oneshot():
                    self.names[process.pid] = _name(process)
                    self.memory[process.pid].append((time.monotonic() - began, process.memory_info().rss / 2**20))
                    times = process.cpu_times()
                    self.processor[process.pid] = times.user + times.system
            except psutil.Error:
                continue

    def quarters(self, process: int) -> list[float]:
        """Median megabytes in each quarter of the time in which a process was seen."""
        seen = self.memory[process]
        first, last = seen[0][0], seen[-1][0]
        length = (last - first) / 4 or 1.0
        parts: list[list[float]] = [[], [], [], []]
        for seconds, megabytes in seen:
            parts[min(3, int((seconds - first) / length))].append(megabytes)
        return [median(part) if part else float("nan") for part in parts]


def watch(commands: Sequence[Sequence[str]], environment: Mapping[str, str]) -> Watched:
    """Run commands at the same time, each with what it starts, until all have ended; raises if one fails."""
    seen, began = Watched(), time.monotonic()
    with ExitStack() as stack:
        said = [stack.enter_context(tempfile.TemporaryFile()) for _ in commands]  # a pipe that nobody reads fills up
        running = [
            stack.enter_context(subprocess.Popen(command, env=os.environ | dict(environment), stdout=out, stderr=out))
            for command, out in zip(commands, said, strict=True)
        ]
        roots = [psutil.Process(process.pid) for process in running]
        seen.roots = tuple(process.pid for process in running)
        while any(process.poll() is None for process in running):
            seen.look(began, [each for root in roots for each in _family(root)])
            time.sleep(INTERVAL)
        seen.wall = time.monotonic() - began
        for process, out in zip(running, said, strict=True):
            if process.returncode:
                out.seek(0)
                raise RuntimeError(f"{process.args} ended with {process.returncode}: {out.read()[-2000:].decode()}")
    return seen


def _family(root: psutil.Process) -> list[psutil.Process]:
    try:
        return [root, *root.children(recursive=True)]
    except psutil.Error:
        return []


def _name(process: psutil.Process) -> str:
    """Its title where it has given itself one, else the name of its program."""
    title = process.cmdline()[:1]
    return title[0] if title and "::" in title[0] else process.name()
