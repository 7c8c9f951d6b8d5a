"""Documents as labelled token pairs, the targets of GPLinker.

A triple (s_h, s_t, p, o_h, o_t) becomes four labelled token pairs: the spans (s_h, s_t) and (o_h, o_t), the
start link (s_h, o_h) and the end link (s_t, o_t) of predicate p. Source: kexue.fm/archives/8888 (2022).

Which labels the spans carry depends on the schema: its entity types where entities are typed, otherwise the
two roles of the article, subject and object. `SpanLabels` holds that choice and, for each predicate, which span
labels may stand at its ends; the constraint on types and the roles are one and the same table.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from kexue.encoders.tokenization import Tokens, token_span
from kexue.extraction.document import Document, Relation, Span
from kexue.extraction.schema import Schema

ROLES = ("subject", "object")
Pair = tuple[int, int, int]  # (label, start token, end token)


@dataclass(frozen=True)
class SpanLabels:
    """The labels of the span head, and which of them may stand at each end of each predicate."""

    schema: Schema

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Entity types, or the two roles."""
        return self.schema.entity_types if self.schema.typed else ROLES

    @cached_property
    def subjects(self) -> Tensor:
        """bool[predicates, labels]: may a span of this label be the subject?"""
        return self._allowed([self.schema.end_types(relation)[0] for relation in self.schema.relation_types], ROLES[0])

    @cached_property
    def objects(self) -> Tensor:
        """bool[predicates, labels]: may a span of this label be the object?"""
        return self._allowed([self.schema.end_types(relation)[1] for relation in self.schema.relation_types], ROLES[1])

    def _allowed(self, types: Sequence[tuple[str, ...]], role: str) -> Tensor:
        rows = [
            [name == role if not self.schema.typed else (not allowed or name in allowed) for name in self.names]
            for allowed in types
        ]
        return torch.tensor(rows, dtype=torch.bool).reshape(len(types), len(self.names))

    def entity_label(self, label: int) -> str:
        """The label an entity shows to the user; roles are not types, so they show none."""
        return self.names[label] if self.schema.typed else ""


@dataclass(frozen=True, slots=True)
class Links:
    """Labelled token pairs of one text, each list without repeats.

    `spans` holds (label, start, end), `starts` and `ends` (predicate, subject token, object token). `unplaced`
    says in words what could not become token pairs; `inexact` counts spans that begin or end inside a token or are
    discontinuous, so that a prediction can only cover them.
    """

    spans: list[Pair] = field(default_factory=list)
    starts: list[Pair] = field(default_factory=list)
    ends: list[Pair] = field(default_factory=list)
    unplaced: list[str] = field(default_factory=list)
    inexact: int = 0


class LinkEncoder:
    """Turns documents into `Links`; unknown labels are the caller's to refuse first (`Schema` decides)."""

    def __init__(self, schema: Schema) -> None:
        self.labels = SpanLabels(schema)
        self._span = {name: index for index, name in enumerate(self.labels.names)}
        self._predicate = {name: index for index, name in enumerate(schema.predicates)}
        self._schema = schema

    def __call__(self, document: Document, tokens: Tokens) -> Links:
        """The labelled token pairs of a document, implied relations included."""
        facts = close_relations(document.relations, self._schema)
        entities = document.entities if self._schema.typed else []
        wanted = dict.fromkeys((*entities, *(end for fact in facts for end in (fact.subject, fact.object))))
        found = ((span, token_span(tokens, span.start, span.end)) for span in wanted)
        places = {span: place for span, place in found if place is not None}
        facts = [fact for fact in facts if fact.subject in places and fact.object in places]
        labelled = [(self._span[span.label], places[span]) for span in entities if span in places]
        labelled += [
            (self._label(end, role), places[end])
            for fact in facts
            for role, end in enumerate((fact.subject, fact.object))
        ]
        joined = [(self._predicate[fact.predicate], places[fact.subject], places[fact.object]) for fact in facts]
        return Links(
            spans=_distinct((label, place.first, place.last) for label, place in labelled),
            starts=_distinct((label, subject.first, object_.first) for label, subject, object_ in joined),
            ends=_distinct((label, subject.last, object_.last) for label, subject, object_ in joined),
            unplaced=[f"{item.kind} {item.label!r}: {item.reason}" for item in document.unaligned]
            + [f"span {span.surface(document.text)!r}: no token covers it" for span in wanted if span not in places],
            inexact=sum(bool(span.fragments) or not place.exact for span, place in places.items()),
        )

    def _label(self, span: Span, role: int) -> int:
        return self._span[span.label] if self._schema.typed else role


def _distinct(pairs: Iterable[Pair]) -> list[Pair]:
    return list(dict.fromkeys(pairs))


def close_relations(relations: Iterable[Relation], schema: Schema) -> list[Relation]:
    """The relations and what follows from them by symmetry and inverses; the better score of each is kept."""
    closed: dict[Relation, Relation] = {}  # relations are equal whatever their scores
    for relation in relations:
        for fact in (relation, schema.implied(relation)):
            if fact is None:
                continue
            known = closed.get(fact)
            if known is None or (fact.score or 0.0) > (known.score or 0.0):
                closed[fact] = fact
    return list(closed.values())


def stack_positives(pairs: Sequence[Sequence[Pair]]) -> Tensor:
    """Positives of a batch, long[n, 4] of (text, label, start, end), from each text's (label, start, end)."""
    rows = [(text, *pair) for text, items in enumerate(pairs) for pair in items]
    return torch.tensor(rows, dtype=torch.long).reshape(len(rows), 4)
