"""Heads that build every score: heads x length x length for spans, starts and ends, each time.

`OwnDenseHeads` stands in for a peer that is not installed, with the published formulas: broadcast sums, -inf at
what is no class, the multi-hot loss (Su, kexue.fm/archives/7359) and the sparse loss (archives/8888).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import defaultdict
from itertools import zip_longest

import torch
from torch import Tensor, nn

from kexue.extraction.heads.gplinker import GPLinker
from kexue.layers.token_pair_scores import FactorizedScores, TokenPairScores
from kexue.ops.masking import mask_pairs
from kexue.ops.multilabel import multilabel_cross_entropy
from kexue.ops.published import PUBLISHED

NAMES = ("span_positives", "start_positives", "end_positives")

Labels = list[Tensor]
"""The labels of spans, starts and ends, in the form that a loss takes."""


class DenseHeads(nn.Module, ABC):
    """The three heads of GPLinker, dense. Losses are summed over labels and averaged over texts, as ours is."""

    name: str
    filler: int
    """The class that fills up rows of positive classes."""

    @abstractmethod
    def forward(self, hidden: Tensor, mask: Tensor) -> list[Tensor]:
        """Scores of spans, starts and ends, each [batch, heads, length, length], -inf at what is no class."""

    @abstractmethod
    def sparse_loss(self, scores: list[Tensor], labels: Labels) -> Tensor:
        """The published sparse loss of `sparse_labels`."""

    @abstractmethod
    def dense_loss(self, scores: list[Tensor], labels: Labels) -> Tensor:
        """The multi-hot loss of `dense_labels`."""

    def sparse_labels(self, targets: dict[str, Tensor], shapes: list[torch.Size]) -> Labels:
        """The positive classes of each head, long[batch, heads, k], counted through length x length."""
        return [_positive_classes(targets[name], shape, self.filler) for name, shape in zip(NAMES, shapes, strict=True)]

    def dense_labels(self, targets: dict[str, Tensor], shapes: list[torch.Size]) -> Labels:
        """1.0 at the positives and 0.0 elsewhere, float[batch, heads, length, length]."""
        labels = [torch.zeros(shape) for shape in shapes]
        for name, label in zip(NAMES, labels, strict=True):
            label[targets[name].unbind(1)] = 1.0
        return labels


class OwnDenseHeads(DenseHeads):
    """The published formulas on the scorers of `head`, whose weights it uses."""

    name = "the published formulas"
    filler = -1

    def __init__(self, head: GPLinker) -> None:
        super().__init__()
        self.scorers = nn.ModuleList([head.spans, head.starts, head.ends])

    def forward(self, hidden: Tensor, mask: Tensor) -> list[Tensor]:
        """All scores of the three heads."""
        found: list[TokenPairScores] = [scorer(hidden) for scorer in self.scorers]
        return [mask_pairs(_all_scores(scores), mask, ordered=scores.ordered) for scores in found]

    def sparse_loss(self, scores: list[Tensor], labels: Labels) -> Tensor:
        """The formula of archives/8888 with the floor of bert4keras."""
        loss = PUBLISHED["bert4keras"]
        losses = [loss(score.flatten(2), label).sum(1) for score, label in zip(scores, labels, strict=True)]
        return torch.stack(losses).sum(0).mean()

    def dense_loss(self, scores: list[Tensor], labels: Labels) -> Tensor:
        """The formula of archives/7359."""
        losses = [
            multilabel_cross_entropy(score.flatten(2), label.flatten(2) > 0).sum(1)
            for score, label in zip(scores, labels, strict=True)
        ]
        return torch.stack(losses).sum(0).mean()


def _all_scores(scores: TokenPairScores) -> Tensor:
    if isinstance(scores, FactorizedScores):
        shared = scores.query @ scores.key.mT
        return shared[:, None] + scores.row[..., None] + scores.column[:, :, None]
    return scores.dense()


def _positive_classes(positives: Tensor, shape: torch.Size, filler: int) -> Tensor:
    batch, heads, length, _ = shape
    classes: dict[tuple[int, int], list[int]] = defaultdict(list)
    for text, label, start, end in torch.unique(positives, dim=0).tolist():
        classes[text, label].append(start * length + end)
    rows = [classes[text, label] for text in range(batch) for label in range(heads)]
    filled = list(zip(*zip_longest(*rows, fillvalue=filler), strict=True)) or [(filler,)] * len(rows)
    return torch.tensor(filled, dtype=torch.long).view(batch, heads, -1)
