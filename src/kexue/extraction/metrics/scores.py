"""Precision, recall and F1 from three counts, micro and macro.

P = correct / predicted,  R = correct / gold,  F1 = 2 correct / (predicted + gold),  and 0/0 is 0.

Micro sums the counts before it divides. Macro divides first: it is the mean, over the labels that occur in
the gold or in the predictions, of each of the three scores; macro F1 is the mean of the F1s, not the F1 of
the means (Opitz and Burst 2019, "Macro F1 and Macro F1").
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Counts:
    """Facts that are right, that were predicted, and that are in the gold; some scorers call a fact right in part."""

    correct: float = 0
    predicted: int = 0
    gold: int = 0

    @property
    def precision(self) -> float:
        return _ratio(self.correct, self.predicted)

    @property
    def recall(self) -> float:
        return _ratio(self.correct, self.gold)

    @property
    def f1(self) -> float:
        return _ratio(2 * self.correct, self.predicted + self.gold)

    def to_json(self) -> dict[str, Any]:
        """The three scores and the three counts."""
        return {
            "precision": self.precision,
            "recall": self.recall,
            "f1": self.f1,
            "correct": self.correct,
            "predicted": self.predicted,
            "gold": self.gold,
        }


@dataclass(frozen=True, slots=True)
class Macro:
    """The mean over labels of precision, recall and F1, each by itself."""

    precision: float
    recall: float
    f1: float
    num_labels: int

    def to_json(self) -> dict[str, Any]:
        """The three means, and over how many labels they are."""
        return {
            "precision": self.precision,
            "recall": self.recall,
            "f1": self.f1,
            "num_labels": self.num_labels,
        }


def macro(labels: Collection[Counts]) -> Macro:
    """Average over labels; all zero where there is none."""
    return Macro(
        precision=_ratio(sum(counts.precision for counts in labels), len(labels)),
        recall=_ratio(sum(counts.recall for counts in labels), len(labels)),
        f1=_ratio(sum(counts.f1 for counts in labels), len(labels)),
        num_labels=len(labels),
    )


def f1_of(counts: NDArray[np.floating]) -> NDArray[np.floating]:
    """F1 of many counts at once: [..., 3] of (correct, predicted, gold) to [...]."""
    total = counts[..., 1] + counts[..., 2]
    f1: NDArray[np.floating] = np.divide(2 * counts[..., 0], total, out=np.zeros_like(total), where=total > 0)
    return f1


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else 0.0
