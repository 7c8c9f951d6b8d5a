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
        return self._allowed([relation.subject_types for relation in self.schema.relation_types], ROLES[0])

    @cached_property
    def objects(self) -> Tensor:
        """bool[predicates, labels]: may a span of this label be the object?"""
        return self._allowed([relation.object_types for relation in self.schema.relation_types], ROLES[1])

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
    says in words what could not become token pairs; `inexact` counts spans whose boundary falls inside a token,
    so that a prediction can only cover them.
    """

    spans: list[tuple[int, int, int]] = field(default_factory=list)
    starts: list[tuple[int, int, int]] = field(default_factory=list)
    ends: list[tuple[int, int, int]] = field(default_factory=list)
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
        links = Links(unplaced=[f"{item.kind} {item.label!r}: {item.reason}" for item in document.unaligned])
        places: dict[Span, tuple[int, int] | None] = {}
        spans: dict[tuple[int, int, int], None] = {}
        starts: dict[tuple[int, int, int], None] = {}
        ends: dict[tuple[int, int, int], None] = {}
        inexact = 0

        def place(span: Span) -> tuple[int, int] | None:
            nonlocal inexact
            if span not in places:
                found = token_span(tokens, span.start, span.end)
                places[span] = None if found is None else (found.first, found.last)
                inexact += found is not None and not found.exact
                if found is None:
                    links.unplaced.append(f"span {span.surface(document.text)!r}: no token covers it")
            return places[span]

        if self._schema.typed:
            for span in document.entities:
                if (found := place(span)) is not None:
                    spans[self._span[span.label], *found] = None
        for relation in self._closed(document.relations):
            subject, object_ = place(relation.subject), place(relation.object)
            if subject is None or object_ is None:
                continue
            spans[self._label(relation.subject, 0), *subject] = None
            spans[self._label(relation.object, 1), *object_] = None
            predicate = self._predicate[relation.predicate]
            starts[predicate, subject[0], object_[0]] = None
            ends[predicate, subject[1], object_[1]] = None
        return Links(list(spans), list(starts), list(ends), links.unplaced, inexact)

    def _label(self, span: Span, role: int) -> int:
        return self._span[span.label] if self._schema.typed else role

    def _closed(self, relations: Iterable[Relation]) -> list[Relation]:
        return close_relations(relations, self._schema)


def close_relations(relations: Iterable[Relation], schema: Schema) -> list[Relation]:
    """The relations and what follows from them by symmetry and inverses; the better score of each is kept."""
    closed: dict[tuple[Span, str, Span], Relation] = {}
    for relation in relations:
        for fact in (relation, schema.implied(relation)):
            if fact is not None:
                key = (fact.subject, fact.predicate, fact.object)
                known = closed.get(key)
                if known is None or (fact.score or 0.0) > (known.score or 0.0):
                    closed[key] = fact
    return list(closed.values())


def stack_positives(pairs: Sequence[Sequence[tuple[int, int, int]]]) -> Tensor:
    """Positives of a batch, long[n, 4] of (text, label, start, end), from each text's (label, start, end)."""
    rows = [(text, *pair) for text, items in enumerate(pairs) for pair in items]
    return torch.tensor(rows, dtype=torch.long).reshape(len(rows), 4)
