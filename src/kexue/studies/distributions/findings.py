"""Everything that was measured, before it is put into words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, median

from kexue.studies.distributions.attention import AttentionOutcome
from kexue.studies.distributions.classification import Outcome
from kexue.studies.distributions.contenders import Contender
from kexue.studies.distributions.properties import Properties
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
    properties: Properties
    quadrature: Sequence[QuadratureError]
    limit: float

    def accuracies(self) -> dict[str, dict[str, list[float]]]:
        """By data set or number of items, the fewest and the most, then by contender, one for each seed."""
        classified = {
            data: {name: [outcome.accuracy for outcome in outcomes] for name, outcomes in own.items()}
            for data, own in self.classified.items()
        }
        attended = {
            f"attention over {length} items": {
                name: [run[length].accuracy for run in runs] for name, runs in self.attended.items()
            }
            for length in (self.lengths[0], self.lengths[-1])
        }
        return classified | attended

    def calibrations(self) -> dict[str, dict[str, list[float]]]:
        """1 - ECE by data set, then by contender, one for each seed."""
        return {
            data: {name: [1 - outcome.calibration_error for outcome in outcomes] for name, outcomes in own.items()}
            for data, own in self.classified.items()
        }

    def longest(self) -> dict[str, list[AttentionOutcome]]:
        """Of attention over the most items, by contender, one for each seed."""
        return {name: [run[self.lengths[-1]] for run in runs] for name, runs in self.attended.items()}

    def training_times(self, data: str) -> dict[str, float]:
        """Multiples of softmax's time with the same seed, medians over the seeds, by contender."""
        seconds = [outcome.seconds for outcome in self.classified[data]["softmax"]]
        return {
            name: median(outcome.seconds / other for outcome, other in zip(outcomes, seconds, strict=True))
            for name, outcomes in self.classified[data].items()
        }

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
