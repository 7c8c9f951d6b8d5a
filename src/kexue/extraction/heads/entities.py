"""Named entities alone: by GlobalPointer, by the best tag of every token (BIO), by a linear-chain CRF.

    GlobalPointer   every span of every label has a score of its own; entities may be nested
    BIO             P(tags) = product over tokens of softmax(e_k)(y_k)
    CRF             P(tags) = exp(sum of e_k(y_k) + A(y_{k-1}, y_k)) / Z

The two chains tell flat entities only: of overlapping gold the outermost are trained on, the others stay in the gold
count. They are the baselines to compare with; a BIO chain is a CRF without transitions.

Source: Su, kexue.fm/archives/8373 (2021), which compares GlobalPointer with a CRF; Lafferty et al. 2001 for the CRF.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from kexue.extraction.decoding import Bounds, Candidates, decode_spans
from kexue.extraction.heads.head import Head, PairScoring
from kexue.extraction.links import Links, Pair, SpanLabels, stack_positives
from kexue.extraction.reach import Reach
from kexue.extraction.tasks import ENTITIES, Task
from kexue.layers.chain_spans import ChainSpanScores, num_tags, tags_of_spans
from kexue.layers.global_pointer import EfficientGlobalPointer, GlobalPointer
from kexue.layers.token_pair_scores import TokenPairScores
from kexue.ops.linear_chain import best_through, best_through_independent, log_partition, path_score
from kexue.ops.precision import exact_dtype, without_autocast


class GlobalPointerEntities(PairScoring):
    """The span scorer of GPLinker by itself, efficient or standard, with or without rotary positions."""

    task: ClassVar[Task] = ENTITIES
    options: ClassVar[tuple[str, ...]] = ("head_dim", "efficient", "span_rotary")

    def __init__(
        self,
        hidden_dim: int,
        labels: SpanLabels,
        *,
        head_dim: int = 64,
        efficient: bool = True,
        span_rotary: bool = True,
    ) -> None:
        super().__init__()
        scorer = EfficientGlobalPointer if efficient else GlobalPointer
        self.labels = labels
        self.spans = scorer(hidden_dim, len(labels.names), head_dim, rotary=span_rotary, ordered=True)

    @staticmethod
    def targets(links: list[Links]) -> dict[str, Tensor]:
        return {"span_positives": stack_positives([link.spans for link in links])}

    def scores(self, hidden: Tensor) -> tuple[TokenPairScores, ...]:
        """Of spans."""
        return (self.spans(hidden),)

    def decode(
        self,
        hidden: Tensor,
        mask: Tensor,
        *,
        floor: float = 0.0,
        bounds: Bounds | None = None,
        reach: Reach | None = None,
    ) -> list[Candidates]:
        return decode_spans(self.spans(hidden), mask, floor=floor, bounds=bounds, reach=reach)


class _Tokens(NamedTuple):
    """The tokens that count, moved to the front of each text: tags follow each other without a gap."""

    emissions: Tensor
    mask: Tensor
    order: Tensor
    """long[batch, length]: where each of them was."""


class Chain(Head):
    """Tags of tokens; a subclass says how the tags of neighbours depend on each other."""

    task: ClassVar[Task] = ENTITIES

    def __init__(self, hidden_dim: int, labels: SpanLabels) -> None:
        super().__init__()
        self.labels = labels
        self.emissions = nn.Linear(hidden_dim, num_tags(len(labels.names)))

    @staticmethod
    def targets(links: list[Links]) -> dict[str, Tensor]:
        return {"span_positives": stack_positives([list(outermost(link.spans)) for link in links])}

    def loss(self, hidden: Tensor, mask: Tensor, targets: Mapping[str, Tensor]) -> Tensor:
        """-log P of the tags of each text, float[batch]."""
        with without_autocast(hidden):
            tokens = self._tokens(hidden, mask)
            text, label, *ends = targets["span_positives"].unbind(1)
            place = mask.cumsum(1) - 1
            moved = torch.stack((text, label, *(place[text, end] for end in ends)), 1)
            return self.surprise(tokens.emissions, tags_of_spans(moved, tokens.mask), tokens.mask)

    def decode(
        self,
        hidden: Tensor,
        mask: Tensor,
        *,
        floor: float = 0.0,
        bounds: Bounds | None = None,
        reach: Reach | None = None,
    ) -> list[Candidates]:
        with without_autocast(hidden):
            tokens = self._tokens(hidden, mask)
            scores = self.spans(tokens.emissions - tokens.emissions.amax(2, keepdim=True), tokens.mask)
            found = decode_spans(scores, tokens.mask, floor=floor, bounds=bounds, reach=reach)
        return [_moved_back(each, order) for each, order in zip(found, tokens.order.cpu(), strict=True)]

    @abstractmethod
    def surprise(self, emissions: Tensor, tags: Tensor, mask: Tensor) -> Tensor:
        """-log P of the tags, float[batch]."""

    @abstractmethod
    def spans(self, emissions: Tensor, mask: Tensor) -> ChainSpanScores:
        """The scores of all spans."""

    def _tokens(self, hidden: Tensor, mask: Tensor) -> _Tokens:
        order = (~mask).int().argsort(dim=1, stable=True)
        emissions = self.emissions(hidden.to(exact_dtype(hidden)))
        return _Tokens(emissions.take_along_dim(order[..., None], 1), mask.take_along_dim(order, 1), order)


class BIO(Chain):
    """Every token chooses its tag by itself."""

    def surprise(self, emissions: Tensor, tags: Tensor, mask: Tensor) -> Tensor:
        chosen = emissions.take_along_dim(tags[..., None], 2)[..., 0]
        return (emissions.logsumexp(2) - chosen).masked_fill(~mask, 0).sum(1)

    def spans(self, emissions: Tensor, mask: Tensor) -> ChainSpanScores:
        independent = emissions.new_zeros(emissions.shape[2], emissions.shape[2])
        return ChainSpanScores(emissions, independent, *best_through_independent(emissions, mask), mask)


class CRF(Chain):
    """The tags of neighbours depend on each other by one score for each pair of tags."""

    def __init__(self, hidden_dim: int, labels: SpanLabels) -> None:
        super().__init__(hidden_dim, labels)
        self.transitions = nn.Parameter(torch.zeros(self.emissions.out_features, self.emissions.out_features))

    def surprise(self, emissions: Tensor, tags: Tensor, mask: Tensor) -> Tensor:
        transitions = self.transitions.to(emissions.dtype)
        return log_partition(emissions, transitions, mask) - path_score(emissions, transitions, tags, mask)

    def spans(self, emissions: Tensor, mask: Tensor) -> ChainSpanScores:
        transitions = self.transitions.to(emissions.dtype)
        return ChainSpanScores(emissions, transitions, *best_through(emissions, transitions, mask), mask)


def outermost(spans: Iterable[Pair]) -> Iterator[Pair]:
    """Spans (label, start, end) without those that overlap one that begins earlier or, of the same start, is longer."""
    free = 0
    for label, start, end in sorted(spans, key=lambda span: (span[1], -span[2])):
        if start >= free:
            yield label, start, end
            free = end + 1


def _moved_back(found: Candidates, order: Tensor) -> Candidates:
    label, start, end = found.spans.unbind(1)
    return replace(found, spans=torch.stack((label, order[start], order[end]), 1))
