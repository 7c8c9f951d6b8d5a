"""How sure a score is: its percentile bootstrap interval over documents (Efron 1979).

Documents, not facts, are drawn with replacement, because the facts of one document stand and fall together.
A resample is a vector of weights over documents, so the counts of all resamples are one matrix product:

    counts[sample, column] = sum over documents of weight[sample, document] counts[document, column].
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kexue.errors import OptionError
from kexue.extraction.metrics.scores import f1_of

_WEIGHTS_AT_ONCE = 1 << 22  # bounds the memory; sums in float32 are exact below 2**24


@dataclass(frozen=True)
class Bootstrap:
    """`num_samples` resamples of the documents from a stated `seed`; none if `num_samples` is 0."""

    num_samples: int = 1000
    seed: int = 0
    confidence: float = 0.95

    def __post_init__(self) -> None:
        if self.num_samples < 0:
            raise OptionError(f"bootstrap_samples must be 0 (no intervals) or more, got {self.num_samples}")

    def f1_intervals(self, counts: NDArray[np.float32]) -> list[tuple[float, float] | None]:
        """Interval of the F1 of each group.

        `counts` is float32[documents, groups, 3] of (correct, predicted, gold). None without resamples.
        """
        num_documents, num_groups, _ = counts.shape
        if not self.num_samples or not num_documents:
            return [None] * num_groups
        table = counts.reshape(num_documents, -1)
        resampled = np.concatenate([weights @ table for weights in self.weights(num_documents)])
        scores = f1_of(resampled.reshape(self.num_samples, num_groups, 3).astype(np.float64))
        tail = (1 - self.confidence) / 2
        low, high = np.quantile(scores, (tail, 1 - tail), axis=0)
        return [(float(lower), float(upper)) for lower, upper in zip(low, high, strict=True)]

    def weights(self, num_documents: int) -> Iterator[NDArray[np.float32]]:
        """How often each resample holds each document: float32[some samples, documents], block by block."""
        generator = np.random.default_rng(self.seed)
        block = max(1, _WEIGHTS_AT_ONCE // num_documents)
        for first in range(0, self.num_samples, block):
            size = min(block, self.num_samples - first)
            drawn = generator.integers(num_documents, size=(size, num_documents))
            drawn += num_documents * np.arange(size)[:, None]
            weights = np.bincount(drawn.ravel(), minlength=size * num_documents)
            yield weights.reshape(size, num_documents).astype(np.float32)
