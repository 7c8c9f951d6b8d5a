"""GPLinker: three token-pair scorers, one for spans and one each for the links of starts and of ends.

    S(s_h, s_t, p, o_h, o_t) = S(s_h, s_t) + S(o_h, o_t) + S(s_h, o_h | p) + S(s_t, o_t | p)

Each term is trained by itself, positives above 0 and all else below; a triple is found where all four are above.
Spans are ordered and know relative positions (rotary). Links join any two tokens in any order, also from one window of
a long document into another at no cost. The article gives them no positions; with them (`link_rotary`) a model learns
which sentence a token is in, without which it finds hardly a relation in a text of many sentences (docs/log.md).

Source: Su Jianlin, kexue.fm/archives/8888 (2022); efficient scorers, kexue.fm/archives/8877.
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from kexue.extraction.decoding import Bounds, Candidates, decode
from kexue.extraction.heads.head import PairScoring
from kexue.extraction.links import Links, SpanLabels, stack_links
from kexue.extraction.reach import Reach
from kexue.layers.global_pointer import EfficientGlobalPointer, GlobalPointer
from kexue.layers.token_pair_scores import TokenPairScores


class GPLinker(PairScoring):
    """Spans and links from hidden states [batch, length, hidden_dim]; never a heads x length x length tensor.

    `efficient` chooses the scorer whose labels share one product (4 head_dim parameters a label) over the standard
    one with a query and a key for every label (2 hidden_dim head_dim a label). Without predicates it is a GlobalPointer
    for named entities.
    """

    options: ClassVar[tuple[str, ...]] = ("head_dim", "efficient", "span_rotary", "link_rotary")

    def __init__(
        self,
        hidden_dim: int,
        labels: SpanLabels,
        *,
        head_dim: int = 64,
        efficient: bool = True,
        span_rotary: bool = True,
        link_rotary: bool = False,
    ) -> None:
        super().__init__()
        scorer = EfficientGlobalPointer if efficient else GlobalPointer
        num_predicates = len(labels.predicates)
        self.labels = labels
        self.spans = scorer(hidden_dim, len(labels.names), head_dim, rotary=span_rotary, ordered=True)
        self.starts = scorer(hidden_dim, num_predicates, head_dim, rotary=link_rotary)
        self.ends = scorer(hidden_dim, num_predicates, head_dim, rotary=link_rotary)

    @staticmethod
    def targets(links: list[Links]) -> dict[str, Tensor]:
        """The positives of a batch, long[n, 4] of (text, label, start, end) for each of the three scorers."""
        return stack_links(links)

    def scores(self, hidden: Tensor) -> tuple[TokenPairScores, ...]:
        """Of spans, of links of starts, of links of ends."""
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
        """Spans and triples of each text whose scores all exceed `floor`, as far as the model looks."""
        return decode(
            self.spans(hidden),
            self.starts(hidden),
            self.ends(hidden),
            mask,
            self.labels,
            floor=floor,
            bounds=bounds,
            reach=reach,
        )
