"""Documents in tokens: labelled spans and the triples that join them, the targets of every head.

A triple (s_h, s_t, p, o_h, o_t) gives four labelled token pairs: the spans (s_h, s_t) and (o_h, o_t), the
start link (s_h, o_h) and the end link (s_t, o_t) of predicate p. Source: kexue.fm/archives/8888 (2022).

Which labels the spans carry depends on the schema: its entity types where entities are typed, otherwise the
two roles of the article, subject and object. `SpanLabels` holds that choice and, for each predicate, which span
labels may stand at its ends; the constraint on types and the roles are one and the same table.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import ClassVar, TypeVar

import torch
from torch import Tensor

from kexue.encoders.tokenization import Tokens, token_span
from kexue.errors import SchemaError
from kexue.extraction.document import Document, Relation, Span
from kexue.extraction.schema import Schema

ROLES = ("subject", "object")
Pair = tuple[int, int, int]  # (label, start token, end token)
TokenTriple = tuple[int, int, int, int, int]  # (predicate, subject start, subject end, object start, object end)
Place = tuple[int, int, str]  # characters start and end, label
Fact = tuple[Place, str, Place]
T = TypeVar("T")


@dataclass(frozen=True)
class Labels(ABC):
    """What a head tells apart: labels of spans, predicates that join two spans, and which may go together."""

    schema: Schema
    kinds: ClassVar[tuple[str, str]]
    """What the spans and what joins them are called where they are measured."""

    @property
    @abstractmethod
    def names(self) -> tuple[str, ...]:
        """The labels of spans."""

    @property
    @abstractmethod
    def predicates(self) -> tuple[str, ...]:
        """What may join two spans."""

    @property
    @abstractmethod
    def subjects(self) -> Tensor:
        """bool[predicates, labels]: may a span of this label be the subject?"""

    @property
    @abstractmethod
    def objects(self) -> Tensor:
        """bool[predicates, labels]: may a span of this label be the object?"""

    @property
    @abstractmethod
    def metric(self) -> str:
        """The measure by which the best weights are chosen."""

    @abstractmethod
    def entity_label(self, label: int) -> str:
        """What a place says of its label when facts are compared."""

    @abstractmethod
    def gold(self, document: Document) -> tuple[set[Place], set[Fact]]:
        """The spans and the facts of a document that the labels know, in characters."""


@dataclass(frozen=True)
class SpanLabels(Labels):
    """Entity types, or the two roles; the predicates of the schema, and the types that their ends may have."""

    kinds: ClassVar[tuple[str, str]] = ("entities", "relations")

    @property
    def predicates(self) -> tuple[str, ...]:
        return self.schema.predicates

    @property
    def metric(self) -> str:
        return "relations_f1" if self.predicates else "entities_f1"

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Entity types, or the two roles."""
        return self.schema.entity_types if self.schema.typed else ROLES

    @cached_property
    def subjects(self) -> Tensor:
        return self._allowed([self.schema.end_types(relation)[0] for relation in self.schema.relation_types], ROLES[0])

    @cached_property
    def objects(self) -> Tensor:
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

    def gold(self, document: Document) -> tuple[set[Place], set[Fact]]:
        """Implied facts are included."""
        facts = {
            (self._place(fact.subject), fact.predicate, self._place(fact.object))
            for fact in close_relations(document.relations, self.schema)
            if fact.predicate in self.predicates
        }
        return self._gold_spans(document, facts), facts

    def _gold_spans(self, document: Document, facts: set[Fact]) -> set[Place]:
        """Typed entities, or the ends of relations in their roles."""
        if self.schema.typed:
            spans = {self._place(span) for span in document.entities}
            spans |= {end for subject, _, object_ in facts for end in (subject, object_)}
            return {place for place in spans if place[2] in self.names}
        return {
            (start, end, role)
            for subject, _, object_ in facts
            for role, (start, end, _) in zip(self.names, (subject, object_), strict=True)
        }

    def _place(self, span: Span) -> Place:
        return span.start, span.end, span.label if self.schema.typed else ""


def fact_labels(schema: Schema) -> SpanLabels:
    """The labels of entities and relations; raises `SchemaError` where there are events only."""
    if schema.event_types and not (schema.entity_types or schema.relation_types):
        raise SchemaError("the data hold events, but no entities or relations; train with head = events")
    return SpanLabels(schema)


def entity_labels(schema: Schema) -> SpanLabels:
    """The labels of a head that finds entities only; raises `SchemaError` where entities carry no types."""
    if not schema.typed:
        raise SchemaError(
            "a head for entities alone needs entities with types, and the data have none; take head = gplinker, "
            "casrel, tplinker or tplinker_plus"
        )
    return SpanLabels(replace(schema, relation_types=()))


@dataclass(frozen=True, slots=True)
class Links:
    """Labelled spans of one text and the triples that join them, each list without repeats, in tokens.

    `spans` holds (label, start, end), `triples` (predicate, subject start, subject end, object start, object end).
    `unplaced` says in words what could not be placed; `inexact` counts spans that begin or end inside a token or are
    discontinuous, so that a prediction can only cover them.
    """

    spans: list[Pair] = field(default_factory=list)
    triples: list[TokenTriple] = field(default_factory=list)
    unplaced: list[str] = field(default_factory=list)
    inexact: int = 0

    @property
    def starts(self) -> list[Pair]:
        """(predicate, first token of the subject, first token of the object)."""
        return distinct((predicate, subject, object_) for predicate, subject, _, object_, _ in self.triples)

    @property
    def ends(self) -> list[Pair]:
        """(predicate, last token of the subject, last token of the object)."""
        return distinct((predicate, subject, object_) for predicate, _, subject, _, object_ in self.triples)

    def moved(self, by: int) -> Links:
        """The same spans and triples `by` tokens on."""
        return Links(
            [(label, start + by, end + by) for label, start, end in self.spans],
            [(predicate, *(token + by for token in tokens)) for predicate, *tokens in self.triples],
        )


class LinkEncoder:
    """Turns documents into `Links`; unknown labels are the caller's to refuse first (`Schema` decides)."""

    def __init__(self, schema: Schema) -> None:
        self.labels = SpanLabels(schema)
        self._span = {name: index for index, name in enumerate(self.labels.names)}
        self._predicate = {name: index for index, name in enumerate(schema.predicates)}
        self._schema = schema

    def __call__(self, document: Document, tokens: Tokens) -> Links:
        """The labelled token pairs of a document, implied relations included."""
        facts = [fact for fact in close_relations(document.relations, self._schema) if self._knows(fact)]
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
            spans=distinct((label, place.first, place.last) for label, place in labelled),
            triples=distinct((name, *subject[:2], *object_[:2]) for name, subject, object_ in joined),
            unplaced=[f"{item.kind} {item.label!r}: {item.reason}" for item in document.unaligned]
            + [f"span {span.surface(document.text)!r}: no token covers it" for span in wanted if span not in places],
            inexact=sum(bool(span.fragments) or not place.exact for span, place in places.items()),
        )

    def _knows(self, fact: Relation) -> bool:
        return fact.predicate in self._predicate

    def _label(self, span: Span, role: int) -> int:
        return self._span[span.label] if self._schema.typed else role


def distinct(items: Iterable[T]) -> list[T]:
    """Each item once, in the order of their first appearance."""
    return list(dict.fromkeys(items))


def close_gold(gold: Sequence[Document], schema: Schema) -> list[Document]:
    """Gold with what follows from it by symmetry and inverses, as the model's answers have it.

    A model that finds no relations is not asked for any.
    """
    return [
        replace(document, relations=close_relations(document.relations, schema) if schema.predicates else [])
        for document in gold
    ]


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


def stack_links(links: Sequence[Links], turned: Callable[[list[Pair]], list[Pair]] = list) -> dict[str, Tensor]:
    """The positives of a batch for heads that score spans, links of starts and of ends; `turned` directs links."""
    return {
        "span_positives": stack_positives([link.spans for link in links]),
        "start_positives": stack_positives([turned(link.starts) for link in links]),
        "end_positives": stack_positives([turned(link.ends) for link in links]),
    }


def stack_positives(pairs: Sequence[Sequence[Pair]]) -> Tensor:
    """Positives of a batch, long[n, 4] of (text, label, start, end), from each text's (label, start, end)."""
    rows = [(text, *pair) for text, items in enumerate(pairs) for pair in items]
    return torch.tensor(rows, dtype=torch.long).reshape(len(rows), 4)
