"""What a model says of a batch of texts, before it is decoded: what two passes, or two models, are compared by.

    divergence(s, t) = sum over labels of log(1 + D_h(s, t)),    D_h a sum over the pairs of the label

A plain sum over pairs depends on how many there are: heads that are not yet trained have length^2 undecided ones, so
that it would outweigh the loss a thousandfold at first, and a mean over pairs would be nothing once all but a few are
decided. Under the logarithm the sum counts like the pairs in the loss, which is log(1 + sum of e^s) for each label: its
gradient never exceeds that of log D_h, and it is the article's sum where that is small. So one weight serves texts of
all lengths and any number of labels. Source of D: Su, kexue.fm/archives/9039 (2022).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Self

from torch import Tensor

from kexue.layers.token_pair_scores import TokenPairScores

DIVERGENCES: dict[str, Callable[[Any, Any, Tensor], Tensor]] = {
    "sigmoid": lambda scores, other, mask: scores.sigmoid_divergence(other, mask),
    "softmax": lambda scores, other, mask: scores.softmax_divergence(other, mask),
    "squared": lambda scores, other, mask: scores.squared_divergence(other, mask),
}
"""By name; the first is the one that fits the multi-label loss."""


@dataclass(frozen=True, eq=False)
class SaidOfTexts:
    """The scores of all scorers of a head, and which tokens of the texts count: bool[texts, length]."""

    scorers: tuple[TokenPairScores, ...]
    mask: Tensor

    def halves(self) -> tuple[Self, Self]:
        """Of the first half of the texts, and of the second."""
        half = len(self.mask) // 2
        return self._of(slice(half)), self._of(slice(half, None))

    def detached(self) -> Self:
        """The same, through which no gradient flows."""
        return replace(self, scorers=tuple(scores.detached() for scores in self.scorers))

    def scaled(self, by: float) -> Self:
        """All scores times a number."""
        return replace(self, scorers=tuple(scores.scaled(by) for scores in self.scorers))

    def divergence(self, other: Self, kind: str) -> Tensor:
        """The mean over the texts of the sum over all labels; `kind` is a name in `DIVERGENCES`."""
        pairs = zip(self.scorers, other.scorers, strict=True)
        by_label = [DIVERGENCES[kind](scores, others, self.mask) for scores, others in pairs]
        return sum((values.log1p().sum(1) for values in by_label), self.mask.new_zeros(())).mean()

    def _of(self, texts: slice) -> Self:
        scorers = tuple(scores.of(texts, slice(None)) for scores in self.scorers)
        return replace(self, scorers=scorers, mask=self.mask[texts])
