"""What every algorithm for the probabilities offers; a law gets the one that suits its facts.

Locations are [rows, n], float32 or float64, in units of the noise, -inf where a class is absent, and at least
one class of each row is present. `log_probs` and `gradient` hold nothing of the size nodes x classes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from kexue.distributions.accuracy import Accuracy
from kexue.distributions.noise import Noise

State = tuple[Tensor, ...]
"""What the gradient can use again; the first dimension of each tensor is rows."""


@dataclass(frozen=True)
class Algorithm(ABC):
    """Computes for one law."""

    noise: Noise

    @abstractmethod
    def log_probs(self, mu: Tensor, accuracy: Accuracy) -> tuple[Tensor, State]:
        """log p, [rows, n], without a graph."""

    @abstractmethod
    def gradient(self, mu: Tensor, log_probs: Tensor, state: State, cotangent: Tensor, accuracy: Accuracy) -> Tensor:
        """sum_i cotangent_i dlog p_i/dmu_j, [rows, n], without a graph."""

    @abstractmethod
    def potential(self, mu: Tensor, accuracy: Accuracy) -> Tensor:
        """E[max(mu + z)], [rows], in float64, without a graph."""

    @abstractmethod
    def twin(self, mu: Tensor, accuracy: Accuracy) -> Tensor:
        """log p by plain differentiable operations: slow, and the source of second derivatives."""


def normalised(log_probs: Tensor) -> Tensor:
    """With probabilities that sum to 1 within rounding."""
    return log_probs - torch.logsumexp(log_probs, -1, keepdim=True)
