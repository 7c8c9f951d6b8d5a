"""F1 over all seeds with its interval, and the gain over no regulariser with its own.

Test documents are drawn with replacement, the same for all variants and seeds, so that what is hard in a document
does not blur the difference; the counts of a variant are summed over the seeds. An interval says what another test
set of the same kind would give; what other seeds would give, the spread over the seeds says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kexue.extraction.metrics.bootstrap import Bootstrap
from kexue.extraction.metrics.scores import f1_of
from kexue.studies.divergence.trainings import Outcome
from kexue.studies.divergence.variants import NONE

Interval = tuple[float, float]


@dataclass(frozen=True)
class Comparison:
    """Of one variant: F1 of each seed on dev and test, F1 over all seeds, gain over none, both with 95% intervals."""

    dev: list[float]
    test: list[float]
    f1: float
    interval: Interval
    gain: float
    gain_interval: Interval
    seconds: float

    @property
    def is_noise(self) -> bool:
        """Whether the interval of the gain holds 0."""
        return self.gain_interval[0] <= 0 <= self.gain_interval[1]


def compare(outcomes: Mapping[str, Sequence[Outcome]], num_samples: int) -> dict[str, Comparison]:
    """Of each variant, from its outcomes for each seed on one data set."""
    tables = {name: np.array([outcome.counts for outcome in own], np.float64) for name, own in outcomes.items()}
    pooled = {name: table.sum(0) for name, table in tables.items()}
    weights = np.concatenate(list(Bootstrap(num_samples).weights(len(pooled[NONE])))).astype(np.float64)
    resampled = {name: _f1(weights @ table) for name, table in pooled.items()}
    whole = {name: float(_f1(table.sum(0))) for name, table in pooled.items()}
    return {
        name: Comparison(
            dev=[outcome.dev_f1 for outcome in outcomes[name]],
            test=_f1(tables[name].sum(1)).tolist(),
            f1=whole[name],
            interval=_interval(resampled[name]),
            gain=whole[name] - whole[NONE],
            gain_interval=_interval(resampled[name] - resampled[NONE]),
            seconds=float(np.median([outcome.seconds for outcome in outcomes[name]])),
        )
        for name in outcomes
    }


def _f1(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(f1_of(counts))


def _interval(values: NDArray[np.float64]) -> Interval:
    low, high = np.quantile(values, (0.025, 0.975))
    return float(low), float(high)
