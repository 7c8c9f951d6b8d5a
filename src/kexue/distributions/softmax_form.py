"""Gumbel noise: the argmax has softmax probabilities, and E[max] is logsumexp plus Euler's constant."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from kexue.distributions.accuracy import Accuracy
from kexue.distributions.algorithm import Algorithm, State

EULER = 0.5772156649015329
"""The mean of the standard Gumbel law."""


@dataclass(frozen=True)
class SoftmaxForm(Algorithm):
    """For Gumbel noise alone."""

    def log_probs(self, mu: Tensor, accuracy: Accuracy) -> tuple[Tensor, State]:
        """log softmax, by a sum in pairs: that of torch's own loses the sixth digit at 50,000 classes in float32."""
        relative = mu - mu.amax(-1, keepdim=True)
        return relative - relative.exp().sum(-1, keepdim=True).log_(), ()

    def gradient(self, mu: Tensor, log_probs: Tensor, state: State, cotangent: Tensor, accuracy: Accuracy) -> Tensor:
        """g - p sum g."""
        return cotangent - log_probs.exp() * cotangent.sum(-1, keepdim=True)

    def potential(self, mu: Tensor, accuracy: Accuracy) -> Tensor:
        """logsumexp + Euler's constant."""
        return torch.logsumexp(mu.double(), -1) + EULER

    def twin(self, mu: Tensor, accuracy: Accuracy) -> Tensor:
        """log softmax."""
        return torch.log_softmax(mu, -1)
