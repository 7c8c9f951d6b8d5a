"""GPLinker for events: a scorer of (event type, role) spans, and one each for the links of starts and of ends.

Two arguments belong to the same event where the scores of their starts and of their ends are above 0. The links say
neither which event type nor which role, as the spans do; they have no direction, so the earlier token comes first.
Source: Su, kexue.fm/archives/8926 (2022).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from kexue.extraction.decoding import Bounds, Candidates, best_of, decode
from kexue.extraction.events import EventLabels
from kexue.extraction.heads.head import PairScoring
from kexue.extraction.links import Links, Pair, distinct, stack_links
from kexue.extraction.reach import Reach
from kexue.extraction.tasks import EVENTS, Task
from kexue.layers.global_pointer import EfficientGlobalPointer, GlobalPointer
from kexue.layers.token_pair_scores import LinkScores, TokenPairScores


@dataclass(frozen=True, eq=False)
class Undirected(LinkScores):
    """One matrix of scores for every predicate, in which the earlier token comes first."""

    scores: LinkScores
    predicates: int

    @property
    def num_labels(self) -> int:
        return self.predicates

    def at(self, batch: int, starts: Int[Tensor, " m"], ends: Int[Tensor, " n"]) -> Float[Tensor, "num_labels m n"]:
        there, back = self.scores.at(batch, starts, ends), self.scores.at(batch, ends, starts).mT
        return torch.where(starts[:, None] <= ends, there, back).expand(self.predicates, -1, -1)

    def pairs(
        self, batch: Int[Tensor, " n"], starts: Int[Tensor, " n"], ends: Int[Tensor, " n"]
    ) -> Float[Tensor, "n num_labels"]:
        first, second = torch.minimum(starts, ends), torch.maximum(starts, ends)
        return self.scores.pairs(batch, first, second).expand(-1, self.predicates)


class EventLinker(PairScoring):
    """Roles as spans, and what belongs together; options as in `GPLinker`."""

    task: ClassVar[Task] = EVENTS
    options: ClassVar[tuple[str, ...]] = ("head_dim", "efficient", "span_rotary", "link_rotary")
    labels: EventLabels

    def __init__(
        self,
        hidden_dim: int,
        labels: EventLabels,
        *,
        head_dim: int = 64,
        efficient: bool = True,
        span_rotary: bool = True,
        link_rotary: bool = False,
    ) -> None:
        super().__init__()
        scorer = EfficientGlobalPointer if efficient else GlobalPointer
        self.labels = labels
        self.spans = scorer(hidden_dim, len(labels.names), head_dim, rotary=span_rotary, ordered=True)
        self.starts = scorer(hidden_dim, 1, head_dim, rotary=link_rotary, ordered=True)
        self.ends = scorer(hidden_dim, 1, head_dim, rotary=link_rotary, ordered=True)

    @staticmethod
    def targets(links: list[Links]) -> dict[str, Tensor]:
        """The positives of a batch, long[n, 4] of (text, label, first, second) for each of the three scorers."""
        return stack_links(links, _undirected)

    def scores(self, hidden: Tensor) -> tuple[TokenPairScores, ...]:
        """Of arguments, of links of starts, of links of ends."""
        return self.spans(hidden), self.starts(hidden), self.ends(hidden)

    def decode(
        self,
        hidden: Tensor,
        mask: Tensor,
        *,
        floor: float = 0.0,
        bounds: Bounds | None = None,
        reach: Reach | None = None,
    ) -> list[Candidates]:
        """The candidates of each text; a pair of arguments is found once, the earlier one first."""
        num_types, bounds = len(self.labels.predicates), bounds or Bounds()
        found = decode(
            self.spans(hidden),
            Undirected(self.starts(hidden), num_types),
            Undirected(self.ends(hidden), num_types),
            mask,
            self.labels,
            floor=floor,
            bounds=_both_ways(bounds),
            reach=reach,
        )
        budgets = [bounds.max_relations(length) for length in mask.sum(1).tolist()]
        return [_once(each, budget) for each, budget in zip(found, budgets, strict=True)]


def _undirected(pairs: list[Pair]) -> list[Pair]:
    return distinct((0, min(pair), max(pair)) for _, *pair in pairs)


def _both_ways(bounds: Bounds) -> Bounds:
    """Room for every pair in both directions, and for every span with itself."""
    return replace(
        bounds,
        relations=2 * bounds.relations + bounds.spans,
        relations_per_token=2 * bounds.relations_per_token + bounds.spans_per_token,
    )


def _once(found: Candidates, budget: int) -> Candidates:
    """Of each pair the direction whose first span comes first, by start, end and label; the best of these."""
    label, start, end = found.spans.T
    width = int(found.spans.max()) + 1 if len(found.spans) else 1
    place = (start * width + end) * width + label
    pairs = (place[found.triples[:, 0]] < place[found.triples[:, 2]]).nonzero()[:, 0]
    best = pairs[best_of(found.triple_scores[pairs].amin(1), budget)]
    cut = found.cut
    if len(best) < len(pairs) and "relations" not in cut:
        cut = f"{cut} and relations" if cut else "relations"
    return replace(found, triples=found.triples[best], triple_scores=found.triple_scores[best], cut=cut)
