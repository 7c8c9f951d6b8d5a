"""What is annotated in a text: `Document`, `Span`, `Relation`, `Event`.

Spans count characters (Python `str` indices), end exclusive, so `text[span.start:span.end]` is the surface.
One document is one JSON object on one line of a file (`docs/document.schema.json` is its JSON Schema):

    {"text": "Aspirin caused a rash.",
     "entities": [{"start": 0, "end": 7, "label": "drug"}, {"start": 17, "end": 21, "label": "effect"}],
     "relations": [{"subject": {"start": 0, "end": 7, "label": "drug"}, "predicate": "causes",
                    "object": {"start": 17, "end": 21, "label": "effect"}}]}
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import lru_cache
from typing import Any, Literal

from kexue.errors import DataError

_LIKENESS = 0.8  # of a mistyped key, as difflib measures it: "entites" 0.93, "relation" 0.94; "texture" is 0.73
_SPAN = ("start", "end", "label", "text", "score", "fragments")
_ARGUMENT = ("role", *_SPAN)


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A piece of text: characters `start` to `end` (exclusive), its label, and a confidence in [0, 1].

    `fragments` is empty for an ordinary span; a discontinuous one lists its (start, end) pieces, the first
    piece beginning at `start` and the last ending at `end`.
    """

    start: int
    end: int
    label: str = ""
    score: float | None = field(default=None, compare=False)
    fragments: tuple[tuple[int, int], ...] = ()

    def surface(self, text: str) -> str:
        """The span's characters; the pieces of a discontinuous span are joined by one space."""
        if self.fragments:
            return " ".join(text[start:end] for start, end in self.fragments)
        return text[self.start : self.end]


@dataclass(frozen=True, slots=True)
class Relation:
    """A fact: `subject` stands in relation `predicate` to `object`, with a confidence in [0, 1]."""

    subject: Span
    predicate: str
    object: Span
    score: float | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Argument:
    """A span that plays `role` in an event; the trigger is one more role."""

    role: str
    span: Span


@dataclass(frozen=True, slots=True)
class Event:
    """An event of one type and the spans that take part in it."""

    type: str
    arguments: tuple[Argument, ...]
    score: float | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Unaligned:
    """Gold that its source gives as strings and that could not be placed in the text.

    It is kept so that it stays in the gold count. `strings` holds the surface of an entity, subject and
    object of a relation, or the arguments of an event; `label` is the type or the predicate.
    """

    kind: Literal["entity", "relation", "event"]
    label: str
    strings: tuple[str, ...]
    reason: str


@dataclass(slots=True)
class Document:
    """A text and what is annotated or was found in it."""

    text: str
    entities: list[Span] = field(default_factory=list)
    relations: list[Relation] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    id: str | None = None
    meta: dict[str, Any] = field(default_factory=dict)
    unaligned: list[Unaligned] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """The document as plain JSON values; surfaces are written beside the offsets, to be read by people."""
        record: dict[str, Any] = {} if self.id is None else {"id": self.id}
        record["text"] = self.text
        record["entities"] = [_span_to_json(span, self.text) for span in self.entities]
        record["relations"] = [
            {
                "subject": _span_to_json(relation.subject, self.text),
                "predicate": relation.predicate,
                "object": _span_to_json(relation.object, self.text),
                **_score(relation.score),
            }
            for relation in self.relations
        ]
        if self.events:
            record["events"] = [
                {
                    "type": event.type,
                    "arguments": [
                        {"role": argument.role, **_span_to_json(argument.span, self.text)}
                        for argument in event.arguments
                    ],
                    **_score(event.score),
                }
                for event in self.events
            ]
        if self.unaligned:
            record["unaligned"] = [
                {"kind": item.kind, "label": item.label, "strings": list(item.strings), "reason": item.reason}
                for item in self.unaligned
            ]
        if self.meta:
            record["meta"] = self.meta
        return record

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Document:
        """Rebuild a document; raises `DataError` (without path and line) if a field or an offset is wrong."""
        text = record.get("text")
        if not isinstance(text, str):
            raise DataError(f"'text' must be a string, got {type(text).__name__}; keys: {sorted(record)}")
        return cls(
            text=text,
            entities=[_span_from_json(span, text, "entity") for span in _items(record, "entities")],
            relations=[_relation_from_json(relation, text) for relation in _items(record, "relations")],
            events=[_event_from_json(event, text) for event in _items(record, "events")],
            id=None if record.get("id") is None else str(record["id"]),
            meta=_meta(record),
            unaligned=[_unaligned_from_json(item) for item in _items(record, "unaligned")],
        )


def _score(score: float | None) -> dict[str, float]:
    return {} if score is None else {"score": round(score, 4)}


def _span_to_json(span: Span, text: str) -> dict[str, Any]:
    record: dict[str, Any] = {"start": span.start, "end": span.end, "text": span.surface(text)}
    if span.label:
        record["label"] = span.label
    if span.fragments:
        record["fragments"] = [list(fragment) for fragment in span.fragments]
    return record | _score(span.score)


@lru_cache(maxsize=1024)  # the same few keys stand in every record
def resembling(key: str, fields: tuple[str, ...]) -> str | None:
    """The field that a key may be a misspelling of; None where it resembles none."""
    return next(iter(get_close_matches(key.lower(), fields, n=1, cutoff=_LIKENESS)), None)


def _relation_from_json(record: Any, text: str) -> Relation:
    relation = Relation(
        _span_from_json(_get(record, "subject", "relation"), text, "subject"),
        _string(record, "predicate", "relation"),
        _span_from_json(_get(record, "object", "relation"), text, "object"),
        read_score(record),
    )
    _refuse_misnamed(record, ("subject", "predicate", "object", "score"), "relation")
    return relation


def _event_from_json(record: Any, text: str) -> Event:
    kind = _string(record, "type", "event")
    _refuse_misnamed(record, ("type", "arguments", "score"), "event", ("arguments", list))
    arguments = (
        Argument(_string(item, "role", "argument"), _span_from_json(item, text, "argument"))
        for item in _items(record, "arguments")
    )
    return Event(kind, tuple(arguments), read_score(record))


def _refuse_misnamed(
    record: Mapping[str, Any], fields: tuple[str, ...], what: str, main: tuple[str, type] | None = None
) -> None:
    """Raise `DataError` for a key that resembles a field left out, or may hold the `main` one, by the kind of value."""
    absent = tuple(name for name in fields if name not in record)
    for key in record if absent else ():
        if key in fields:
            continue
        meant = resembling(key, absent)
        if meant is None and main is not None and main[0] in absent and isinstance(record[key], main[1]):
            meant = main[0]
        if meant is not None:
            raise DataError(f"{what} has a key {key!r} and no {meant!r}; is {meant!r} meant? ({meant!r} may be null)")


def _span_from_json(record: Any, text: str, what: str) -> Span:
    start, end = _get(record, "start", what), _get(record, "end", what)
    if type(start) is not int or type(end) is not int or not 0 <= start < end <= len(text):
        raise DataError(
            f"{what} start={start!r} end={end!r} is not a span of its text of {len(text)} characters "
            "(character offsets, end exclusive)"
        )
    if what == "argument":
        _refuse_misnamed(record, _ARGUMENT, what)
    else:
        _refuse_misnamed(record, _SPAN, what, ("label", str))
    fragments = _fragments(record.get("fragments") or [], start, end, what)
    label = record.get("label")
    if label is not None and not isinstance(label, str):
        raise DataError(f"{what} 'label' must be a string, got {label!r}")
    span = Span(start, end, label or "", read_score(record), fragments)
    written = record.get("text")
    if written is not None and written != span.surface(text):
        raise DataError(
            f"{what} says text={written!r} but characters {start} to {end} are {span.surface(text)!r}; "
            "offsets must count characters (not bytes or tokens), end exclusive"
        )
    return span


def _fragments(values: Any, start: int, end: int, what: str) -> tuple[tuple[int, int], ...]:
    if not isinstance(values, list) or not all(_is_pair_of_ints(piece) for piece in values):
        raise DataError(f"{what} fragments={values!r} is not a list of [start, end]")
    places = [place for piece in values for place in piece]
    in_order = places == sorted(places) and all(first < last for first, last in values)
    if values and not (in_order and places[0] == start and places[-1] == end):
        raise DataError(f"{what} fragments={values!r} do not run from its start {start} to its end {end} in order")
    return tuple((first, last) for first, last in values)


def _is_pair_of_ints(value: Any) -> bool:
    return isinstance(value, list) and [type(item) for item in value] == [int, int]


def _unaligned_from_json(record: Any) -> Unaligned:
    kind, label, strings = (_get(record, key, "unaligned") for key in ("kind", "label", "strings"))
    if kind not in ("entity", "relation", "event"):
        raise DataError(f"unaligned 'kind' must be entity, relation or event, got {kind!r}")
    if not isinstance(strings, list) or (kind == "relation" and len(strings) != 2):
        raise DataError(f"unaligned 'strings' of a relation must be its subject and object, got {strings!r}")
    return Unaligned(kind, str(label), tuple(map(str, strings)), str(record.get("reason", "")))


def _get(record: Any, key: str, what: str) -> Any:
    if not isinstance(record, Mapping):
        raise DataError(f"{what} must be an object, got {type(record).__name__}")
    if key not in record:
        raise DataError(f"{what} lacks {key!r}; it has {sorted(record)}")
    return record[key]


def _string(record: Any, key: str, what: str) -> str:
    value = _get(record, key, what)
    if not isinstance(value, str) or not value:
        raise DataError(f"{what} {key!r} must be a non-empty string, got {value!r}")
    return value


def _items(record: Mapping[str, Any], key: str) -> list[Any]:
    value = record.get(key)
    if value is None:
        return []
    if not isinstance(value, list):
        raise DataError(f"{key!r} must be a list, got {type(value).__name__}")
    return value


def _meta(record: Mapping[str, Any]) -> dict[str, Any]:
    meta = record.get("meta")
    if meta is not None and not isinstance(meta, Mapping):
        raise DataError(f"'meta' must be an object, got {type(meta).__name__}")
    return dict(meta or {})


def read_score(record: Mapping[str, Any]) -> float | None:
    """The confidence that a record gives; raises `DataError` (without path and line) if it is none."""
    score = record.get("score")
    if score is not None and not (type(score) in (int, float) and 0 <= score <= 1):
        raise DataError(f"'score' must be a number between 0 and 1, got {score!r}")
    return None if score is None else float(score)
