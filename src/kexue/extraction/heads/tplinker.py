"""TPLinker and TPLinker-plus: a tag for every pair of tokens, from the vector of the pair.

A pair i <= j of tokens carries, for every label, whether a span goes from i to j, and for every predicate whether it
joins the starts, and whether it joins the ends, of a subject and an object: from i to j, from j to i, or not. TPLinker
chooses one of the three with a softmax, so a predicate that holds both ways between the same two tokens can be tagged
only one way. TPLinker-plus takes them as labels of their own, trained with the multi-label loss over the tags of each
pair. Triples are read off as GPLinker's are.

What it costs: a vector of hidden_dim numbers for each pair. Their memory is bounded here (`layers/handshaking.py`), the
time is not: batch x length^2 / 2 x hidden_dim tanh, at least.

Source: Wang et al. 2020, arXiv 2010.13415; TPLinker-plus by the same authors, github.com/131250208/TPLinker.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from kexue.extraction.decoding import Bounds, Candidates, decode
from kexue.extraction.heads.head import Head
from kexue.extraction.links import Links, SpanLabels, stack_links
from kexue.extraction.reach import Reach
from kexue.layers.handshaking import Handshaking, HandshakingScores
from kexue.layers.linear import linear
from kexue.ops.masking import pair_mask
from kexue.ops.multilabel import multilabel_cross_entropy

RARE = 7.0
"""How far below no a tag begins: e^-7, one pair in a thousand, about as rare as tags are. Where all are as likely as
not, thousands of negative pairs saturate the tanh before a single positive is heard, and nothing is ever learnt."""


class Tagging(ABC):
    """How tags are made of logits.

    `span_bias` holds the bias that each logit of a label of spans begins with, `link_bias` of a predicate of links.
    """

    span_bias: ClassVar[tuple[float, ...]]
    link_bias: ClassVar[tuple[float, ...]]

    @abstractmethod
    def of_spans(self, logits: Float[Tensor, "*n labels k"]) -> Float[Tensor, "*n labels 2"]:
        """Scores of spans from i to j; -inf from j to i."""

    @abstractmethod
    def of_links(self, logits: Float[Tensor, "*n predicates k"]) -> Float[Tensor, "*n predicates 2"]:
        """Scores of links from i to j, and from j to i."""

    @abstractmethod
    def loss(
        self,
        spans: Float[Tensor, "*n labels k"],
        links: Float[Tensor, "*n predicates l"],
        span_tags: Bool[Tensor, "*n labels"],
        link_tags: Bool[Tensor, "*n predicates 2"],
    ) -> Float[Tensor, "*n"]:
        """The loss of each pair; starts and ends are predicates beside each other."""


@dataclass(frozen=True)
class OneOfThree(Tagging):
    """A softmax over no, from i to j, and from j to i; the score is half the lead over the next best."""

    span_bias: ClassVar[tuple[float, ...]] = (RARE, 0.0)
    link_bias: ClassVar[tuple[float, ...]] = (RARE, 0.0, 0.0)

    def of_spans(self, logits: Tensor) -> Tensor:
        lead = (logits[..., 1] - logits[..., 0]) / 2
        return torch.stack((lead, torch.full_like(lead, -torch.inf)), -1)

    def of_links(self, logits: Tensor) -> Tensor:
        no, there, back = logits.unbind(-1)
        return torch.stack((there - torch.maximum(no, back), back - torch.maximum(no, there)), -1) / 2

    def loss(self, spans: Tensor, links: Tensor, span_tags: Tensor, link_tags: Tensor) -> Tensor:
        there, back = link_tags.unbind(-1)
        return _cross_entropy(spans, span_tags.long()) + _cross_entropy(links, torch.where(there, 1, 2 * back.long()))


@dataclass(frozen=True)
class AnyOf(Tagging):
    """Labels of their own, with the multi-label loss over all tags of a pair."""

    span_bias: ClassVar[tuple[float, ...]] = (-RARE,)
    link_bias: ClassVar[tuple[float, ...]] = (-RARE, -RARE)

    def of_spans(self, logits: Tensor) -> Tensor:
        return torch.cat((logits, torch.full_like(logits, -torch.inf)), -1)

    def of_links(self, logits: Tensor) -> Tensor:
        return logits

    def loss(self, spans: Tensor, links: Tensor, span_tags: Tensor, link_tags: Tensor) -> Tensor:
        scores = torch.cat((spans.flatten(-2), links.flatten(-2)), -1)
        return multilabel_cross_entropy(scores, torch.cat((span_tags, link_tags.flatten(-2)), -1))


class HandshakingHead(Head):
    """Tags of pair vectors; a subclass says how they are made of logits."""

    tagging: ClassVar[Tagging]

    def __init__(self, hidden_dim: int, labels: SpanLabels) -> None:
        super().__init__()
        self.labels = labels
        self.kernel = Handshaking(hidden_dim)
        num_spans, num_links = len(labels.names), len(labels.predicates)
        self.spans = _rarely(hidden_dim, num_spans * self.tagging.span_bias)
        self.starts = _rarely(hidden_dim, num_links * self.tagging.link_bias)
        self.ends = _rarely(hidden_dim, num_links * self.tagging.link_bias)

    @staticmethod
    def targets(links: list[Links]) -> dict[str, Tensor]:
        """The positives of a batch, long[n, 4] of (text, label, from, to) for spans, links of starts and of ends."""
        return stack_links(links)

    def loss(self, hidden: Tensor, mask: Tensor, targets: Mapping[str, Tensor]) -> Tensor:
        """The loss summed over the pairs of each text, float[batch]."""
        pairs = pair_mask(mask, ordered=True)

        def of_rows(vectors: Tensor, rows: slice) -> Tensor:
            tags = partial(_tags, shape=vectors.shape[:3], first_row=rows.start)
            loss = self.tagging.loss(
                self._span_logits(vectors),
                torch.cat((self._link_logits(self.starts, vectors), self._link_logits(self.ends, vectors)), -2),
                tags(targets["span_positives"], num_labels=len(self.labels.names))[..., 0],
                torch.cat(
                    [
                        tags(targets[name], num_labels=len(self.labels.predicates))
                        for name in ("start_positives", "end_positives")
                    ],
                    -2,
                ),
            )
            return loss.masked_fill(~pairs[:, rows, rows.start :], 0).sum((1, 2))

        loss: Tensor = self.kernel(hidden).sum_of_rows(of_rows)
        return loss

    def decode(
        self,
        hidden: Tensor,
        mask: Tensor,
        *,
        floor: float = 0.0,
        bounds: Bounds | None = None,
        reach: Reach | None = None,
    ) -> list[Candidates]:
        vectors = self.kernel(hidden)
        num_links = len(self.labels.predicates)
        return decode(
            HandshakingScores(
                vectors, lambda pairs: self.tagging.of_spans(self._span_logits(pairs)), len(self.labels.names), True
            ),
            HandshakingScores(
                vectors, lambda pairs: self.tagging.of_links(self._link_logits(self.starts, pairs)), num_links
            ),
            HandshakingScores(
                vectors, lambda pairs: self.tagging.of_links(self._link_logits(self.ends, pairs)), num_links
            ),
            mask,
            self.labels,
            floor=floor,
            bounds=bounds,
            reach=reach,
        )

    def _span_logits(self, vectors: Tensor) -> Tensor:
        logits: Tensor = self.spans(vectors).unflatten(-1, (len(self.labels.names), len(self.tagging.span_bias)))
        return logits

    def _link_logits(self, layer: nn.Linear, vectors: Tensor) -> Tensor:
        logits: Tensor = layer(vectors).unflatten(-1, (len(self.labels.predicates), len(self.tagging.link_bias)))
        return logits


class TPLinker(HandshakingHead):
    """One tag of three for each predicate and pair, by softmax."""

    tagging = OneOfThree()


class TPLinkerPlus(HandshakingHead):
    """Every tag by itself, with the multi-label loss."""

    tagging = AnyOf()


def _rarely(hidden_dim: int, biases: tuple[float, ...]) -> nn.Linear:
    """A linear map to one logit for each bias, which it begins with."""
    layer = linear(hidden_dim, len(biases))
    with torch.no_grad():
        layer.bias.copy_(torch.tensor(biases))
    return layer


def _tags(positives: Tensor, *, shape: torch.Size, first_row: int, num_labels: int) -> Tensor:
    """Which labels hold from i to j, and from j to i: bool[batch, rows, columns, labels, 2], i <= j.

    `positives` are (text, label, from, to); those whose earlier token is in none of the rows are not marked.
    """
    batch, rows, columns = shape
    text, label, origin, target = positives.unbind(1)
    first, second = torch.minimum(origin, target) - first_row, torch.maximum(origin, target) - first_row
    inside = (first >= 0) & (first < rows)
    tags = torch.zeros(batch, rows, columns, num_labels, 2, dtype=torch.uint8, device=positives.device)
    place = text, first.clamp(0, rows - 1), second.clamp(0, columns - 1), label, (origin > target).long()
    # Adding 0 for the pairs of other rows needs no synchronisation, as selecting would.
    return tags.index_put_(place, inside.to(tags.dtype), accumulate=True).bool()


def _cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Summed over the labels: logits [*n, labels, classes] and the class of each label [*n, labels] -> [*n]."""
    chosen = logits.gather(-1, target[..., None]).squeeze(-1)
    return (logits.logsumexp(-1) - chosen).sum(-1)
