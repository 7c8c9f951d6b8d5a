"""What documents state, piece by piece: from a `Document` to `Statement`s with keys, places and words around.

A statement is one place where one document says that a subject stands in a relation to an object. Statements of any
number of documents with the same subject, predicate and object are one fact; `docs/graph.md` draws the picture.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from kexue.errors import DataError
from kexue.extraction.document import Document, Relation, Span
from kexue.extraction.sentences import number_places, sentence_starts
from kexue.integrations.graph.keys import KeyFunction, entity_key

LONGEST = 1000  # characters of the words around a statement; farther apart, each end has its own
_SURROGATE = re.compile("[\ud800-\udfff]")
MARGIN = 200  # characters that are kept before and after such an end


@dataclass(frozen=True, slots=True)
class Entity:
    """What a mention stands for: its key, the name it has there, its type."""

    key: str
    name: str
    type: str


@dataclass(frozen=True, slots=True)
class Mention:
    """An entity in a text: characters `start` to `end`, exclusive; `pieces` are its parts, one but for broken names."""

    entity: Entity
    start: int
    end: int
    pieces: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Statement:
    """One place where a document states a fact.

    id      digest of the document's id, the offsets, the labels and the predicate: the same in every run
    score   confidence in [0, 1], None where the document gives none
    text    the sentences in which subject and object stand
    """

    id: str
    subject: Mention
    predicate: str
    object: Mention
    score: float | None
    text: str


@dataclass(frozen=True, slots=True)
class Source:
    """A document and what it states; `place` says for messages where it was read, as `facts.jsonl:7`."""

    id: str
    text: str
    statements: tuple[Statement, ...]
    place: str = ""

    @property
    def text_digest(self) -> str:
        """What tells this text from another that was given the same id."""
        return digest(self.text)

    @property
    def content_digest(self) -> str:
        """What tells this document, its statements, keys and scores from any other."""
        rows = [[it.id, it.subject.entity.key, it.object.entity.key, it.score] for it in self.statements]
        return digest(json.dumps([self.text_digest, rows]))


def to_source(document: Document, key: KeyFunction = entity_key, place: str = "") -> Source:
    """What a document states; one without an id is known by its text, so that it is the same in every run.

    Of a relation that is given twice the higher score counts. Half a surrogate pair, which neither RDF nor XML nor a
    database can hold, becomes U+FFFD; offsets stay.
    """
    text = storable(document.text)
    identity = f"text-{digest(text)}" if document.id is None else storable(document.id)
    starts = sentence_starts(text)
    found: dict[str, Statement] = {}
    for relation in document.relations:
        statement = Statement(
            _statement_id(identity, relation),
            _mention(relation.subject, text, key),
            storable(relation.predicate),
            _mention(relation.object, text, key),
            relation.score,
            surroundings(text, starts, relation.subject, relation.object),
        )
        before = found.get(statement.id)
        if before is None or (before.score or 0) < (statement.score or 0):
            found[statement.id] = statement
    return Source(identity, text, tuple(found.values()), place)


def storable(text: str) -> str:
    """The text with U+FFFD for each half of a surrogate pair.

    >>> storable("a\\ud800b")
    'a�b'
    """
    return _SURROGATE.sub("\ufffd", text)


def digest(text: str) -> str:
    """128 bits of a text's SHA-256, as 32 characters."""
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def surroundings(text: str, starts: Sequence[int], subject: Span, object: Span) -> str:
    """The sentences from the first mention to the last; where that is too long, the words around each of the two."""
    first, last = sorted((subject, object), key=lambda span: span.start)
    begin, end = starts[number_places(starts, [first.start])[0]], _sentence_end(text, starts, max(first.end, last.end))
    if end - begin <= LONGEST:
        return text[begin:end].strip()
    around = [text[max(begin, span.start - MARGIN) : min(end, span.end + MARGIN)].strip() for span in (first, last)]
    return " … ".join(dict.fromkeys(around))


def _sentence_end(text: str, starts: Sequence[int], place: int) -> int:
    number = number_places(starts, [place - 1])[0] + 1
    return starts[number] if number < len(starts) else len(text)


def _mention(span: Span, text: str, key: KeyFunction) -> Mention:
    name, type = span.surface(text), storable(span.label)
    identity = key(name, type)
    if not isinstance(identity, str) or not identity:
        raise DataError(
            f"the key of {name!r} ({type or 'no type'}) must be a string with something in it, got {identity!r}"
        )
    entity = Entity(storable(identity), name, type)
    return Mention(entity, span.start, span.end, span.fragments or ((span.start, span.end),))


def _statement_id(document: str, relation: Relation) -> str:
    ends = [[span.start, span.end, span.label, span.fragments] for span in (relation.subject, relation.object)]
    return digest(json.dumps([document, relation.predicate, *ends]))
