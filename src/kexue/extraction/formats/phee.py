"""PHEE (Sun et al. 2022): adverse drug events with arguments, their parts, and where each piece starts.

    {"id": "a", "context": "Aspirin caused a rash.", "annotations": [{"events": [
        {"event_id": "E1", "event_type": "Adverse_event", "Trigger": {"text": [["caused"]], "start": [[8]]},
         "Treatment": {"text": [["Aspirin"]], "start": [[0]], "Drug": {"text": [["Aspirin"]], "start": [[0]]}},
         "Effect": {"text": [["a rash"]], "start": [[15]]}}]}]}

A part of an argument has the role of both: "Treatment.Drug". The trigger has the role "trigger", as everywhere here.
An argument of several pieces is a discontinuous span. Attributes (Speculated, Severity, ...) are arguments like any
other, without their value; the events inside an event that say which drugs were combined are passed over.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

from kexue.errors import DataError
from kexue.extraction.document import Argument, Document, Event, Span, Unaligned
from kexue.extraction.formats.records import field, identifier, of_kind, read_each, rest, strings
from kexue.extraction.formats.source import Sample

T = TypeVar("T")
S = TypeVar("S")
_KNOWN = ("id", "context", "annotations")
_ROLES = {"Trigger": "trigger"}


def detect(sample: Sample) -> bool:
    """A record with `context` and `annotations`."""
    return isinstance(sample.record, dict) and {"context", "annotations"} <= sample.record.keys()


def read(path: Path) -> Iterator[Document]:
    """The documents of a file; raises `DataError` with the line of the record that is wrong."""
    return read_each(path, _document)


def _document(record: dict[str, Any]) -> Document:
    document = Document(field(record, "context", str), id=identifier(record, "id"), meta=rest(record, _KNOWN))
    for annotation in field(record, "annotations", list):
        for item in field(of_kind(annotation, dict, "an annotation"), "events", list, "an annotation"):
            event = of_kind(item, dict, "an event")
            _add(document, field(event, "event_type", str, "an event"), dict(_arguments(event)))
    return document


def _arguments(event: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """The arguments by role, then their parts."""
    for name, value in event.items():
        if isinstance(value, dict) and "text" in value:
            role = prefix + _ROLES.get(name, name)
            yield role, value
            yield from _arguments(value, f"{role}.")


def _add(document: Document, kind: str, arguments: dict[str, dict[str, Any]]) -> None:
    """The event, or what is known of it where the text does not show one of its pieces."""
    mentions = [(role, pieces) for role, argument in arguments.items() for pieces in _mentions(role, argument)]
    for _, pieces in mentions:
        for piece, start in pieces:
            if not piece or start < 0 or document.text[start : start + len(piece)] != piece:
                surfaces = tuple(surface for _, pieces in mentions for surface, _ in pieces)
                reason = f"{piece!r} is to stand at character {start}, which it does not"
                document.unaligned.append(Unaligned("event", kind, surfaces, reason))
                return
    document.events.append(Event(kind, tuple(Argument(role, _span(pieces)) for role, pieces in mentions)))


def _mentions(role: str, argument: dict[str, Any]) -> Iterator[list[tuple[str, int]]]:
    """The pieces, each with its start, of every mention of an argument."""
    what = f"the argument {role!r}"
    texts, starts = (field(argument, key, list, what) for key in ("text", "start"))
    for surfaces, places in zip(*_alike(texts, starts, what), strict=True):
        pieces = strings(of_kind(surfaces, list, f"each text of {what}"), f"the text of {what}")
        numbers = [of_kind(item, int, f"each start of {what}") for item in of_kind(places, list, f"a start of {what}")]
        if not pieces:
            raise DataError(f"{what} has a mention without text")
        yield list(zip(*_alike(pieces, numbers, what), strict=True))


def _alike(texts: list[T], starts: list[S], what: str) -> tuple[list[T], list[S]]:
    if len(texts) != len(starts):
        raise DataError(f"{what} has {len(texts)} texts but {len(starts)} starts; each text needs its start")
    return texts, starts


def _span(pieces: list[tuple[str, int]]) -> Span:
    ends = sorted((start, start + len(piece)) for piece, start in pieces)
    return Span(ends[0][0], ends[-1][1], fragments=tuple(ends) if len(ends) > 1 else ())
