"""The contract of all heads: hidden states to a loss, and to candidates whose scores can be believed alike.

A head gives every candidate one or several scores; the candidate is found where all of them are above 0, and
sigmoid(2 score) is the probability before calibration (the stationary point of the multi-label loss,
kexue.fm/archives/9064). So floors, confidences, thresholds, constraints, windows and measuring need not know which
head they serve. Every candidate above a floor is also one above a lower floor, with the same scores.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from kexue.extraction.decoding import Bounds, Candidates
from kexue.extraction.links import Labels, Links
from kexue.extraction.reach import Reach
from kexue.extraction.tasks import TRIPLES, Task
from kexue.layers.token_pair_scores import TokenPairScores

POSITIVES = ("span_positives", "start_positives", "end_positives")
"""The targets of the scorers of spans, of links of starts and of links of ends."""


class Head(nn.Module, ABC):
    """Built from the width of the hidden states, the labels, and those keys of a model's configuration it names."""

    task: ClassVar[Task] = TRIPLES
    options: ClassVar[tuple[str, ...]] = ()
    """Keys of `ExtractionConfig` that are keyword arguments of the constructor."""

    labels: Labels

    @classmethod
    def from_config(cls, hidden_dim: int, config: Any, labels: Labels) -> Self:
        """The head that a configuration describes."""
        return cls(hidden_dim, labels, **{name: getattr(config, name) for name in cls.options})

    @staticmethod
    @abstractmethod
    def targets(links: list[Links]) -> dict[str, Tensor]:
        """The gold of a batch as tensors, made where batches are made, on the CPU."""

    @abstractmethod
    def loss(self, hidden: Tensor, mask: Tensor, targets: Mapping[str, Tensor]) -> Tensor:
        """The loss of each text, float[batch], from hidden [batch, length, hidden_dim] and mask bool[batch, length]."""

    @abstractmethod
    def decode(
        self,
        hidden: Tensor,
        mask: Tensor,
        *,
        floor: float = 0.0,
        bounds: Bounds | None = None,
        reach: Reach | None = None,
    ) -> list[Candidates]:
        """The candidates of each text whose scores all exceed `floor`, as far as the model looks."""


class PairScoring(Head):
    """A head whose loss is made of token-pair scores, by which two passes can be compared: of spans, and of links."""

    @abstractmethod
    def scores(self, hidden: Tensor) -> tuple[TokenPairScores, ...]:
        """Of spans, of links of starts, of links of ends, as far as there are such."""

    def loss(self, hidden: Tensor, mask: Tensor, targets: Mapping[str, Tensor]) -> Tensor:
        """The multi-label loss summed over all labels, float[batch]."""
        return self.loss_of(self.scores(hidden), mask, targets)

    def loss_of(self, scores: tuple[TokenPairScores, ...], mask: Tensor, targets: Mapping[str, Tensor]) -> Tensor:
        """The loss of scores that `scores` gave."""
        losses = [scored.loss(targets[name], mask) for scored, name in zip(scores, POSITIVES, strict=False)]
        return torch.cat(losses, dim=1).sum(1)
