"""Ours beside a peer in one run: a ratio, how much it scatters over the rounds, and what was promised of it.

This is what every benchmark hands over: `main` returns its report, and `report.comparisons` holds these.
"""

from __future__ import annotations

from dataclasses import dataclass

from kexue.benchmarks.measuring.report import Target, number
from kexue.benchmarks.measuring.timing import Times


@dataclass(frozen=True)
class Comparison:
    """One line of the table of ratios.

    name     what is compared, unique within its benchmark
    peer     beside whom
    ours     seconds, bytes or errors of ours, in `unit`
    theirs   the same of the peer
    ratio    theirs / ours, more is better; with `at_most` ours / theirs, less is better
    spread   of the ratio over the rounds, relative (see `Times.ratio`); None where a second run gives the same number
    promised of the ratio; None where nothing was
    """

    name: str
    peer: str
    ours: float
    theirs: float
    ratio: float
    spread: float | None = None
    promised: float | None = None
    at_most: bool = False
    unit: str = "s"

    @classmethod
    def of_times(
        cls,
        name: str,
        ours: Times,
        theirs: Times,
        peer: str,
        *,
        promised: float | None = None,
        at_most: bool = False,
        on_wall: bool = False,
    ) -> Comparison:
        """By the clock that decides: with one thread the processor's, else, or with `on_wall`, that on the wall."""
        over = ours.ratio(theirs) if at_most else theirs.ratio(ours)
        mine, its = (own.median_wall if on_wall else own.sound for own in (ours, theirs))
        ratio, spread = (over.wall, over.wall_spread) if on_wall else (over.sound, over.spread)
        return cls(name, peer, mine, its, ratio, spread, promised, at_most)

    @classmethod
    def of_numbers(
        cls,
        name: str,
        ours: float,
        theirs: float,
        peer: str,
        *,
        unit: str,
        promised: float | None = None,
        at_most: bool = False,
    ) -> Comparison:
        """Of numbers that a second run gives again: peaks of memory, errors at one seed."""
        above, below = (ours, theirs) if at_most else (theirs, ours)
        ratio = above / below if below else float("inf")
        return cls(name, peer, ours, theirs, ratio, None, promised, at_most, unit)

    @property
    def target(self) -> Target | None:
        """The promise beside what was measured."""
        return None if self.promised is None else Target(self.name, self.ratio, self.promised, self.at_most)

    def __str__(self) -> str:
        scatter = "" if self.spread is None else f" ± {self.spread:.0%}"
        promise = "" if self.promised is None else f", target {'at most' if self.at_most else 'at least'} "
        return f"{number(self.ratio)}{scatter}{promise}{'' if self.promised is None else number(self.promised)}"
