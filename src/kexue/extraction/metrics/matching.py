"""When two facts are the same: the keys by which gold and predicted facts are compared as sets.

"F1" is not one number. A relation may have to agree in the offsets and types of its ends (strict), in their
offsets (boundaries), in their strings, or in one word of each (last word: the form in which CopyRE published
NYT* and WebNLG*; first word: what CasRel's and TPLinker's scorers compare). Taillé et al. 2020, "Let's Stop
Incorrect Comparisons in End-to-end Relation Extraction!", shows what comes of mixing them.

A key is a tuple that begins with its label: two facts are the same if their keys are equal. Gold that could
not be placed in its text (`Document.unaligned`) keeps a key under every matching, so it stays in the gold
count: as strings it can be found, as offsets it cannot.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from typing import Any

from kexue.extraction.document import Document, Event, Relation, Span

Key = tuple[Any, ...]


@dataclass(frozen=True, eq=False)
class Unplaced:
    """The part of a key that stands for strings without a place: it equals nothing but itself."""

    strings: tuple[str, ...]


class Matching(ABC):
    """What of a span is compared."""

    @abstractmethod
    def end(self, span: Span, text: str) -> Hashable:
        """What is compared of a span of `text`."""

    @abstractmethod
    def unplaced(self, strings: tuple[str, ...]) -> Key:
        """What is compared of spans of which only the strings are known."""


@dataclass(frozen=True)
class ByPlace(Matching):
    """Compares where the spans are; strings without a place match nothing."""

    of: Callable[[Span], Hashable]

    def end(self, span: Span, text: str) -> Hashable:
        return self.of(span)

    def unplaced(self, strings: tuple[str, ...]) -> Key:
        return (Unplaced(strings),)


@dataclass(frozen=True)
class ByString(Matching):
    """Compares the characters of the spans, wherever they are."""

    of: Callable[[str], str]

    def end(self, span: Span, text: str) -> Hashable:
        return self.of(span.surface(text))

    def unplaced(self, strings: tuple[str, ...]) -> Key:
        return tuple(self.of(string) for string in strings)


def pieces(span: Span) -> tuple[tuple[int, int], ...]:
    """The (start, end) pieces of a span: one, or the fragments of a discontinuous one."""
    return span.fragments or ((span.start, span.end),)


def last_word(string: str) -> str:
    """What NYT* and WebNLG* keep of an entity. Text without spaces, such as Chinese, is one word."""
    words = string.split()
    return words[-1] if words else string


def first_word(string: str) -> str:
    """What CasRel's `partial_match` and TPLinker's `only_head_text` keep of an entity."""
    words = string.split()
    return words[0] if words else string


def _labelled_pieces(span: Span) -> Hashable:
    return span.label, pieces(span)


def _whole(string: str) -> str:
    return string


STRICT = ByPlace(_labelled_pieces)
BOUNDARIES = ByPlace(pieces)
STRING = ByString(_whole)
LAST_WORD = ByString(last_word)
FIRST_WORD = ByString(first_word)

RELATION_MATCHINGS: dict[str, Matching] = {
    "strict": STRICT,
    "boundaries": BOUNDARIES,
    "string": STRING,
    "last_word": LAST_WORD,
    "first_word": FIRST_WORD,
}


def unplaced_facts(document: Document, kind: str) -> set[tuple[str, tuple[str, ...]]]:
    """Label and strings of what could not be placed; equal ones count once."""
    return {(item.label, item.strings) for item in document.unaligned if item.kind == kind}


def _unplaced_keys(document: Document, kind: str, matching: Matching) -> set[Key]:
    return {(label, *matching.unplaced(strings)) for label, strings in unplaced_facts(document, kind)}


def relation_key(relation: Relation, text: str, matching: Matching) -> Key:
    """(predicate, subject, object) of one relation of `text`."""
    return relation.predicate, matching.end(relation.subject, text), matching.end(relation.object, text)


def relation_keys(document: Document, matching: Matching) -> set[Key]:
    """The keys of the relations; equal ones count once."""
    placed = {relation_key(relation, document.text, matching) for relation in document.relations}
    return placed | _unplaced_keys(document, "relation", matching)


def listed_entities(document: Document) -> Iterable[Span]:
    """The entities of a document; where it lists none, the ends of its relations."""
    if document.entities:
        return document.entities
    return [span for relation in document.relations for span in (relation.subject, relation.object)]


def entity_keys(document: Document, matching: Matching) -> set[Key]:
    """(label, span) of each entity; equal ones count once."""
    placed = {(span.label, matching.end(span, document.text)) for span in listed_entities(document)}
    return placed | _unplaced_keys(document, "entity", matching)


def entity_places(document: Document) -> set[Key]:
    """The places of the entities, whatever their labels."""
    placed: set[Key] = {("", pieces(span)) for span in listed_entities(document)}
    return placed | {
        ("", *BOUNDARIES.unplaced(strings)) for strings in {item[1] for item in unplaced_facts(document, "entity")}
    }


ENTITY_MATCHINGS: dict[str, Callable[[Document], set[Key]]] = {
    "strict": lambda document: entity_keys(document, BOUNDARIES),  # a key of an entity begins with its label
    "boundaries": entity_places,
    "string": lambda document: entity_keys(document, STRING),
}


def event_key(event: Event) -> Key:
    """(type, all of its arguments): an event is right when every argument and role is."""
    return event.type, frozenset((argument.role, pieces(argument.span)) for argument in event.arguments)


def event_keys(document: Document) -> set[Key]:
    """The events as wholes."""
    placed = {event_key(event) for event in document.events}
    return placed | _unplaced_keys(document, "event", BOUNDARIES)


def argument_keys(document: Document) -> set[Key]:
    """(type, role, span) of each argument of each event; equal ones count once."""
    placed: set[Key] = {
        (event.type, argument.role, pieces(argument.span)) for event in document.events for argument in event.arguments
    }
    return placed | {
        (label, *BOUNDARIES.unplaced((string,)))
        for label, strings in unplaced_facts(document, "event")
        for string in strings
    }


EVENT_MATCHINGS: dict[str, Callable[[Document], set[Key]]] = {"event": event_keys, "argument": argument_keys}
