"""Everything that was measured, before it is put into words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean

from kexue.studies.distributions.attention import AttentionOutcome
from kexue.studies.distributions.classification import Outcome
from kexue.studies.distributions.contenders import Contender
from kexue.studies.distributions.quadrature import QuadratureError


@dataclass(frozen=True)
class Findings:
    """By the name of the data set or the shape first, then by the name of the contender, then by seed.

    `maps` were to be compared in attention and cost, `classifiers` (the maps, one with more losses) in classification;
    `limit` is the seconds of a training beyond which a contender was left out.
    """

    maps: Sequence[Contender]
    classifiers: Sequence[Contender]
    classified: Mapping[str, Mapping[str, Sequence[Outcome]]]
    attended: Mapping[str, Sequence[Mapping[int, AttentionOutcome]]]
    costs: Mapping[tuple[int, int], tuple[Mapping[str, float], float]]
    quadrature: Sequence[QuadratureError]
    limit: float

    def accuracies(self, data: str) -> dict[str, list[float]]:
        """Of every contender on a data set, one for each seed."""
        return {name: [outcome.accuracy for outcome in outcomes] for name, outcomes in self.classified[data].items()}

    def attention_accuracies(self, length: int) -> dict[str, list[float]]:
        """Of every contender with this many items, one for each seed."""
        return {name: [run[length].accuracy for run in runs] for name, runs in self.attended.items()}

    @property
    def lengths(self) -> list[int]:
        """Numbers of items that attention was tested with."""
        return list(next(iter(self.attended.values()))[0])

    def mean_focus(self) -> dict[str, dict[int, float]]:
        """Weight on the right item, by contender and number of items, over the seeds."""
        return {
            name: {length: mean(run[length].focus for run in runs) for length in self.lengths}
            for name, runs in self.attended.items()
            if name != "gumbel"
        }
