"""What a benchmark prints: a table, and for each target whether it was reached."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kexue.benchmarks.measuring.comparison import Comparison


@dataclass(frozen=True)
class Target:
    """A number that was promised, and the one that was measured; `at_most` turns the promise round."""

    name: str
    measured: float
    promised: float
    at_most: bool = False
    unit: str = ""

    @property
    def reached(self) -> bool:
        """Whether the promise holds."""
        return self.measured <= self.promised if self.at_most else self.measured >= self.promised

    def __str__(self) -> str:
        sign = "at most" if self.at_most else "at least"
        verdict = "reached" if self.reached else "MISSED"
        measured, promised = (f"{number(value)}{self.unit}" for value in (self.measured, self.promised))
        return f"{self.name}: {measured}, target {sign} {promised}: {verdict}"


@dataclass
class Report:
    """Lines of text in the order in which they came about; printed as they come."""

    targets: list[Target] = field(default_factory=list)
    comparisons: list[Comparison] = field(default_factory=list)

    def line(self, text: str = "") -> None:
        """Print one line."""
        print(text, flush=True)

    def table(self, heading: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Print a table in Markdown, as it stands in the documents."""
        lines = [heading, ["---"] * len(heading), *([_cell(value) for value in row] for row in rows)]
        self.line("\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n")

    def target(self, target: Target) -> None:
        """Print whether a promise holds."""
        self.targets.append(target)
        self.line(str(target))

    def compare(self, comparison: Comparison) -> None:
        """Keep a ratio for the table of ratios, and print whether its promise holds, where there is one."""
        self.comparisons.append(comparison)
        if comparison.target is not None:
            self.target(comparison.target)


def number(value: float) -> str:
    """Three digits that count, without exponent: 0.0123, 1.23, 123, 12300."""
    if value == 0:
        return "0"
    text = f"{value:.3g}"
    return text if "e" not in text else f"{float(text):.0f}" if abs(value) >= 1 else f"{float(text):.6f}"


def _cell(value: object) -> str:
    return number(value) if isinstance(value, float) else str(value)
