"""Batches of any size without an encoder: random hidden states, ragged texts, a few triples in each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from kexue.extraction.heads.gplinker import GPLinker
from kexue.extraction.links import Links, SpanLabels
from kexue.extraction.schema import RelationType, Schema

HIDDEN_DIM = 384
SPAN_WIDTH = 4
"""The most tokens of a planted span."""


@dataclass(frozen=True)
class Batch:
    """Hidden states [batch, length, hidden_dim], the mask of their tokens, and the labelled pairs of each text."""

    hidden: Tensor
    mask: Tensor
    links: list[Links]

    @property
    def targets(self) -> dict[str, Tensor]:
        """The labelled pairs as the heads take them."""
        return GPLinker.targets(self.links)

    def parts(self, size: int) -> Iterator[Batch]:
        """The batch in smaller ones, which share its hidden states."""
        for first in range(0, len(self.links), size):
            chosen = slice(first, first + size)
            yield Batch(self.hidden[chosen], self.mask[chosen], self.links[chosen])


def make_labels(num_predicates: int) -> SpanLabels:
    """Subject, object, and this many predicates without constraints."""
    return SpanLabels(Schema(relation_types=tuple(RelationType(f"relation {n}") for n in range(num_predicates))))


def make_head(num_predicates: int, *, efficient: bool = True) -> GPLinker:
    """A GPLinker as a training begins with it."""
    return GPLinker(HIDDEN_DIM, make_labels(num_predicates), efficient=efficient)


def make_batch(num_predicates: int, length: int, *, batch_size: int = 8, num_triples: int = 3, seed: int = 0) -> Batch:
    """Texts of half to all of `length` tokens, the first of all of it, with random triples of short spans."""
    generator = torch.Generator().manual_seed(seed)
    hidden = torch.randn(batch_size, length, HIDDEN_DIM, generator=generator)
    lengths = torch.randint((length + 1) // 2, length + 1, (batch_size,), generator=generator)
    lengths[0] = length
    mask = torch.arange(length) < lengths[:, None]
    links = [_random_links(num_predicates, int(tokens), num_triples, generator) for tokens in lengths]
    return Batch(hidden, mask, links)


def overfit(head: GPLinker, batch: Batch, *, steps: int = 150, lr: float = 3e-3) -> GPLinker:
    """Train a head on one batch, so that its scores are those of a trained model: above 0 at few pairs."""
    optimizer = torch.optim.Adam(head.parameters(), lr=lr)
    hidden, targets = batch.hidden.detach(), batch.targets
    for _ in range(steps):
        optimizer.zero_grad()
        head.loss(hidden, batch.mask, targets).mean().backward()
        optimizer.step()
    return head.eval()


def _random_links(num_predicates: int, num_tokens: int, num_triples: int, generator: torch.Generator) -> Links:
    links = Links()
    for _ in range(num_triples):
        (sh, st), (oh, ot) = (_random_span(num_tokens, generator) for _ in range(2))
        predicate = int(torch.randint(num_predicates, (), generator=generator))
        links.spans.extend([(0, sh, st), (1, oh, ot)])
        links.triples.append((predicate, sh, st, oh, ot))
    return links


def _random_span(num_tokens: int, generator: torch.Generator) -> tuple[int, int]:
    width = int(torch.randint(1, min(SPAN_WIDTH, num_tokens) + 1, (), generator=generator))
    start = int(torch.randint(num_tokens - width + 1, (), generator=generator))
    return start, start + width - 1
