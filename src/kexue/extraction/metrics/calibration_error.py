"""Whether a confidence of 0.9 is right nine times in ten: expected calibration error and Brier score.

With the n predictions cut into bins by confidence,

    ECE = sum over bins of |bin| / n * |share correct in bin - mean confidence in bin|

(Naeini et al. 2015; Guo et al. 2017). The bins have equal mass, not equal width: an extractor's confidences
crowd near 1, and with bins of equal width most hold nearly nothing (Nixon et al. 2019). Equal confidences
always share a bin, so the result does not depend on the order of the predictions.

    Brier = mean of (confidence - correct)^2   (Brier 1950).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kexue.errors import DataError, OptionError


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Predictions of similar confidence: lowest and highest, how many, their means."""

    low: float
    high: float
    count: int
    confidence: float
    accuracy: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """How far confidences are from shares that are right."""

    expected_error: float
    brier: float
    bins: tuple[ReliabilityBin, ...]

    def to_json(self) -> dict[str, Any]:
        """The two measures and the table of bins."""
        return {
            "expected_calibration_error": self.expected_error,
            "brier": self.brier,
            "bins": [asdict(row) for row in self.bins],
        }


def calibration(confidences: ArrayLike, correct: ArrayLike, num_bins: int = 15) -> Calibration:
    """Both measures and the reliability table of predictions: confidences in [0, 1], right or wrong."""
    table = reliability_table(confidences, correct, num_bins)
    return Calibration(_expected_error(table), brier_score(confidences, correct), tuple(table))


def expected_calibration_error(confidences: ArrayLike, correct: ArrayLike, num_bins: int = 15) -> float:
    """ECE over `num_bins` bins of equal mass; 0 is perfect.

    `confidences` is float[n] in [0, 1], `correct` bool[n]. Raises `DataError` if they are empty, differ in
    length or leave [0, 1].
    """
    return _expected_error(reliability_table(confidences, correct, num_bins))


def brier_score(confidences: ArrayLike, correct: ArrayLike) -> float:
    """Mean squared distance of the confidences from 1 (right) or 0 (wrong); raises as above."""
    confidence, right = _checked(confidences, correct)
    return float(np.mean((confidence - right) ** 2))


def reliability_table(confidences: ArrayLike, correct: ArrayLike, num_bins: int = 15) -> list[ReliabilityBin]:
    """The bins that are not empty, by rising confidence; raises as above."""
    confidence, right = _checked(confidences, correct)
    if num_bins < 1:
        raise OptionError(f"num_bins must be 1 or more, got {num_bins}")
    index = _equal_mass_bins(confidence, num_bins)
    return [_bin(confidence[index == number], right[index == number]) for number in np.unique(index)]


def _equal_mass_bins(confidence: NDArray[np.float64], num_bins: int) -> NDArray[np.int64]:
    ordered = np.sort(confidence)
    firsts = np.arange(1, num_bins) * len(ordered) // num_bins
    return np.searchsorted(ordered[firsts], confidence, side="right")


def _bin(confidence: NDArray[np.float64], right: NDArray[np.float64]) -> ReliabilityBin:
    return ReliabilityBin(
        low=float(confidence.min()),
        high=float(confidence.max()),
        count=len(confidence),
        confidence=float(confidence.mean()),
        accuracy=float(right.mean()),
    )


def _expected_error(table: Sequence[ReliabilityBin]) -> float:
    total = sum(row.count for row in table)
    return sum(row.count * abs(row.accuracy - row.confidence) for row in table) / total


def _checked(confidences: ArrayLike, correct: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    confidence = np.asarray(confidences, dtype=np.float64)
    right = np.asarray(correct, dtype=np.float64)
    if confidence.ndim != 1 or confidence.shape != right.shape or not len(confidence):
        raise DataError(
            "confidences and correct must be equally long lists that are not empty, "
            f"got shapes {confidence.shape} and {right.shape}"
        )
    outside = ~((confidence >= 0) & (confidence <= 1))
    if outside.any():
        place = int(np.argmax(outside))
        raise DataError(f"confidence {confidence[place]} at position {place} is not in [0, 1]")
    return confidence, right
