"""What the machine is, and how fast it multiplies, copies and exponentiates: the base of every floor."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

import torch

from kexue.benchmarks.measuring.timing import interleaved
from kexue.provenance import processor

SIDE = 1024
"""Of the square matrices whose product is timed."""
NUMBERS = 2**24
"""Copied from 64 MB to another 64 MB, which no cache of a core holds."""
PACKAGES = ("torch", "transformers", "bert4torch", "diffusers")


@dataclass(frozen=True)
class Rates:
    """What the chosen number of threads reaches on this machine, in float32."""

    flops: float
    """Additions and multiplications in a second, in a matrix product."""
    bandwidth: float
    """Bytes read and written in a second, in a copy."""

    def floor(self, flops: float, num_bytes: float) -> float:
        """Seconds that this many operations and this much traffic take at least, one after the other."""
        return flops / self.flops + num_bytes / self.bandwidth


def measure_rates(rounds: int = 7) -> Rates:
    """The fastest of a few rounds: a rate is a bound, so other load on the machine must not lower it.

    With one thread processor time is read, which does not count what other programs took.
    """
    a, b = torch.randn(SIDE, SIDE), torch.randn(SIDE, SIDE)
    source, target = torch.randn(NUMBERS), torch.empty(NUMBERS)
    work: dict[str, Callable[[], object]] = {"product": lambda: a @ b, "copy": lambda: target.copy_(source)}
    times = interleaved(work, rounds)
    fastest = {name: min(own.cpu if torch.get_num_threads() == 1 else own.wall) for name, own in times.items()}
    return Rates(flops=2 * SIDE**3 / fastest["product"], bandwidth=2 * 4 * NUMBERS / fastest["copy"])


def describe() -> str:
    """One line: processor, cores, versions, threads."""
    versions = ", ".join(f"{name} {found}" for name in PACKAGES if (found := version_of(name)))
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    software = f"Python {platform.python_version()}, {versions}"
    return f"{processor()}, {cores} cores; {software}; threads {torch.get_num_threads()}"


def version_of(package: str) -> str:
    """Of an installed package; empty where it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
