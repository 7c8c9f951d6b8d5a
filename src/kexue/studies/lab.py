"""Where a study works: how much is measured, and what has been measured already.

Every result is a line of a file as soon as it is there, with the processor time it took, so a study that was stopped
goes on where it was. A line counts only for the same scale, seed and device.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import torch

from kexue.ops.device import choose_device
from kexue.studies.options import StudyOptions

T = TypeVar("T")


@dataclass
class Lab:
    """What the parts of a study are given to measure with."""

    name: str
    options: StudyOptions
    done: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    """Processor time of all results, those of earlier runs too."""

    def __post_init__(self) -> None:
        self.options.output.mkdir(parents=True, exist_ok=True)
        for line in self.path.read_text("utf-8").splitlines() if self.path.exists() else []:
            record = json.loads(line)
            if record["kind"] == self._kind:
                self.done[record["part"]] = record["result"]
                self.seconds += record["seconds"]

    @property
    def path(self) -> Path:
        """Of the results."""
        return self.options.output / f"{self.name}.jsonl"

    @property
    def device(self) -> torch.device:
        """Where networks are trained."""
        return choose_device(self.options.device)

    @property
    def seed(self) -> int:
        """Of everything that is drawn."""
        return self.options.seed

    @property
    def _kind(self) -> dict[str, Any]:
        return {"scale": self.options.scale, "seed": self.seed, "device": self.device.type}

    def pick(self, quick: T, full: T, long: T | None = None) -> T:
        """What the scale asks for: see `StudyOptions.pick`."""
        return self.options.pick(quick, full, long)

    def generator(self, stream: int = 0) -> torch.Generator:
        """A source of random numbers of its own for each stream."""
        return torch.Generator().manual_seed(1000 * self.seed + stream)

    def seeds(self, num: int) -> range:
        """For trainings that are repeated."""
        return range(self.seed, self.seed + num)

    def keep(self, part: str, measure: Callable[[], Any]) -> Any:
        """The result of a part, measured only if no run before this one has it: numbers, texts, lists and dicts."""
        if part not in self.done:
            began, before = time.process_time(), self.seconds
            result = measure()
            own = time.process_time() - began - (self.seconds - before)  # less that of parts within
            line = {"part": part, "kind": self._kind, "seconds": own, "result": result}
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
            self.done[part] = json.loads(json.dumps(result))
            self.seconds += own
            self.options.say(f"    {part}: {own:.1f} s")
        return self.done[part]
