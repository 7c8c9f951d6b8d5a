"""The table of ratios as a file, and what got worse since it was written.

How noise is told from change: a ratio of times is the median over interleaved rounds, and its `spread` is how far
single rounds lie from it. A ratio is worse when it moved, the wrong way, by more than three spreads of both runs
together, and by more than a tenth: from process to process times move by some hundredths even where the rounds of each
agree. Numbers without a spread (peaks of memory, errors at one seed) come out the same each time; there a fiftieth is
enough.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from kexue.benchmarks.measuring.comparison import Comparison
from kexue.benchmarks.measuring.report import number
from kexue.errors import DataError
from kexue.files import write_json

FORMAT = 1
SPREADS, LEAST_OF_TIMES, LEAST_OF_NUMBERS = 3.0, 0.1, 0.02


@dataclass(frozen=True)
class Setting:
    """What has to be the same for ratios to be held against each other; torch may change, and shall be judged."""

    processor: str
    threads: int
    quick: bool
    seed: int
    sizes: tuple[str, ...]
    peers: Mapping[str, str]
    torch: str
    date: str

    def differs(self, stored: Setting) -> str:
        """Why the two cannot be compared; empty where they can."""
        for what in ("processor", "threads", "quick", "seed", "sizes", "peers"):
            mine, its = getattr(self, what), getattr(stored, what)
            if mine != its:
                return f"{what} {_shown(its)} then, {_shown(mine)} now"
        return ""


@dataclass(frozen=True)
class Measured:
    """What one benchmark found."""

    setting: Setting
    comparisons: tuple[Comparison, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        rows = [asdict(comparison) for comparison in self.comparisons]
        return asdict(self.setting) | {"ratios": rows}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Measured:
        """Back from `to_json`."""
        values = dict(values)
        rows = tuple(Comparison(**row) for row in values.pop("ratios"))
        return cls(Setting(**values | {"sizes": tuple(values["sizes"])}), rows)


Table = dict[str, Measured]
"""By benchmark."""


@dataclass(frozen=True)
class Change:
    """A ratio then and now."""

    benchmark: str
    now: Comparison
    then: Comparison

    @property
    def worsening(self) -> float:
        """By how much it is worse, as a logarithm; negative where it is better."""
        moved = _log(self.now.ratio) - _log(self.then.ratio)
        return moved if self.now.at_most else -moved

    @property
    def noise(self) -> float:
        """How much it may move."""
        if self.now.spread is None or self.then.spread is None:
            return LEAST_OF_NUMBERS
        return max(SPREADS * math.hypot(self.now.spread, self.then.spread), LEAST_OF_TIMES)

    @property
    def worse(self) -> bool:
        """Beyond noise."""
        return self.worsening > self.noise

    def __str__(self) -> str:
        return (
            f"{self.benchmark}, {self.now.name}: {number(self.then.ratio)} then, {number(self.now.ratio)} now, "
            f"{math.expm1(min(abs(self.worsening), 50)):.0%} {'worse' if self.worsening > 0 else 'better'}, "
            f"noise {self.noise:.0%}"
        )


def changes(now: Table, then: Table) -> tuple[list[Change], list[str]]:
    """All ratios that are in both and may be compared, and for each benchmark that may not, why."""
    found, refused = [], []
    for name, measured in now.items():
        if name not in then:
            continue
        if reason := measured.setting.differs(then[name].setting):
            refused.append(f"{name} is not held against the stored ratios: {reason}")
            continue
        stored = {comparison.name: comparison for comparison in then[name].comparisons}
        found += [Change(name, own, stored[own.name]) for own in measured.comparisons if own.name in stored]
    return found, refused


def read_table(path: Path) -> Table:
    """Raises `DataError` where the file is not one that `kexue bench` wrote."""
    try:
        content = json.loads(path.read_text("utf-8"))
        if content["format"] != FORMAT:
            raise DataError(f"has format {content['format']}, this kexue reads {FORMAT}: measure again", path=path)
        return {name: Measured.from_json(values) for name, values in content["benchmarks"].items()}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"is no table of `kexue bench` ({type(error).__name__}: {error})", path=path) from None


def write_table(path: Path, table: Table) -> None:
    """Whole or not at all."""
    write_json(path, {"format": FORMAT, "benchmarks": {name: table[name].to_json() for name in sorted(table)}})


def _log(ratio: float) -> float:
    return math.log(min(max(ratio, 1e-12), 1e12))


def _shown(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {version}" for name, version in value.items()) or "none"
    return " ".join(map(str, value)) or "none" if isinstance(value, tuple) else str(value)
