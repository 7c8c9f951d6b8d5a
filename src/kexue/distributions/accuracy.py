"""What an algorithm has to reach: an absolute error of p, and how deep log p has to be right."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from kexue.errors import OptionError

TOLERANCE = {torch.float32: 1e-7, torch.float64: 1e-13}
"""Where none is given: the rounding of the results."""
FULL_DEPTH = 760.0
"""log p is right down to -FULL_DEPTH, where a float64 p would underflow."""

DEEPEST = 3.0
"""How many times larger than elsewhere the relative error is at the deepest class."""
MARGIN = 3.0
"""Nats below the tolerance down to which log p counts where p is asked for."""


@dataclass(frozen=True)
class Accuracy:
    """`tolerance`: absolute error of p. `depth`: log p counts while it is above -depth."""

    tolerance: float
    depth: float

    @property
    def nats(self) -> float:
        """-log(tolerance): what is smaller than its surroundings by so much is left out."""
        return -math.log(self.tolerance)

    def finer(self, digits: float = 1.2) -> Accuracy:
        """With so many times the digits, for averages of what is large where it is improbable."""
        return Accuracy(self.tolerance**digits, self.depth)

    @classmethod
    def of_probs(cls, tolerance: float | None, dtype: torch.dtype) -> Accuracy:
        """Probabilities below the tolerance may be anything below the tolerance."""
        tolerance = _checked(tolerance, dtype)
        return cls(tolerance, MARGIN - math.log(tolerance))

    @classmethod
    def of_log_probs(cls, tolerance: float | None, dtype: torch.dtype) -> Accuracy:
        """The tolerance is relative at every probability that float64 can hold."""
        return cls(_checked(tolerance, dtype) / DEEPEST, FULL_DEPTH)


def _checked(tolerance: float | None, dtype: torch.dtype) -> float:
    if tolerance is None:
        return TOLERANCE[dtype]
    if not 0 < tolerance < 1:
        raise OptionError(f"the tolerance is between 0 and 1, not {tolerance!r}")
    return max(tolerance, TOLERANCE[dtype] / 100)
