"""What the study found, and what follows from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean

from kexue.studies.gau_warmup.branch import Setting
from kexue.studies.outcomes import Key, TrainingOutcome

MARGIN = 0.1
"""Nats below the entropy of a character that a model must reach to have learnt anything from context."""
TAIL = 0.1
"""Share of the steps whose mean loss is the final one."""
TRAINS, STALLS, DIVERGES = "trains", "stalls", "diverges"


@dataclass(frozen=True)
class Run(TrainingOutcome):
    """One training: the loss of every step, and how long it took where, beside others or alone."""

    contender: str
    depth: int
    seed: int
    losses: Sequence[float]
    seconds: float = 0.0
    machine: str = ""

    @property
    def key(self) -> Key:
        """What the training is known by."""
        return self.contender, self.depth, self.seed

    def __str__(self) -> str:
        return f"{self.contender}, {self.depth} branches, seed {self.seed}: {self.final:.3f} ({self.seconds:.1f} s)"

    @property
    def final(self) -> float:
        """The mean loss of the last steps."""
        return mean(self.losses[-max(1, round(TAIL * len(self.losses))) :])


@dataclass(frozen=True)
class Findings:
    """Ratios of branch and state, trainings, and the entropy of a character of the text."""

    curves: Mapping[Setting, Sequence[float]]
    kinds: Mapping[Setting, Sequence[float]]
    by_depth: Sequence[Run]
    by_beginning: Sequence[Run]
    entropy: float

    def outcome(self, run: Run) -> str:
        """Whether a training learnt from context, went nowhere, or ended above where it began."""
        if not run.final < run.losses[0]:
            return DIVERGES
        return TRAINS if run.final < self.entropy - MARGIN else STALLS


def runs_of(runs: Sequence[Run], contender: str, depth: int) -> list[Run]:
    """Those of all seeds."""
    return [run for run in runs if (run.contender, run.depth) == (contender, depth)]


def names(runs: Sequence[Run]) -> list[str]:
    """Contenders in the order in which they ran first."""
    return list(dict.fromkeys(run.contender for run in runs))


def depths(runs: Sequence[Run]) -> list[int]:
    """Depths from the lowest."""
    return sorted({run.depth for run in runs})
