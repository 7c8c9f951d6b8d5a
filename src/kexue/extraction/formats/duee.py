"""DuEE 1.0 (Li et al. 2020): events with a trigger and arguments, each as its surface and where it starts.

    {"text": "雀巢裁员4000人", "id": "a",
     "event_list": [{"event_type": "组织关系-裁员", "trigger": "裁员", "trigger_start_index": 2,
                     "arguments": [{"argument": "雀巢", "argument_start_index": 0, "role": "裁员方", "alias": []}]}]}

The trigger becomes an argument of the role "trigger". `alias` (empty in all of the dev split) and `class` (the first
part of the event type) are passed over.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kexue.extraction.document import Argument, Document, Event, Span, Unaligned
from kexue.extraction.formats.records import (
    field,
    has_objects,
    identifier,
    of_kind,
    optional,
    read_each,
    refuse_strangers,
    rest,
)
from kexue.extraction.formats.source import Sample

_KNOWN = ("id", "text", "event_list")


def detect(sample: Sample) -> bool:
    """A record with `event_list`."""
    return has_objects(sample.record, "event_list")


def read(path: Path) -> Iterator[Document]:
    """The documents of a file; raises `DataError` with the line of the record that is wrong."""
    return read_each(path, _document)


def _document(record: dict[str, Any]) -> Document:
    refuse_strangers(record, ("event_list",), _KNOWN)
    document = Document(field(record, "text", str), id=identifier(record, "id"), meta=rest(record, _KNOWN))
    for item in optional(record, "event_list", list, []):
        event = of_kind(item, dict, "an item of 'event_list'")
        _add(document, field(event, "event_type", str, "an event"), list(_mentions(event)))
    return document


def _mentions(event: dict[str, Any]) -> Iterator[tuple[str, str, int]]:
    """(role, surface, start) of the trigger and of each argument."""
    what = "an event"
    if "trigger" in event:
        yield "trigger", field(event, "trigger", str, what), field(event, "trigger_start_index", int, what)
    for item in field(event, "arguments", list, what):
        argument = of_kind(item, dict, "an argument")
        yield (
            field(argument, "role", str, "an argument"),
            field(argument, "argument", str, "an argument"),
            field(argument, "argument_start_index", int, "an argument"),
        )


def _add(document: Document, kind: str, mentions: list[tuple[str, str, int]]) -> None:
    """The event, or what is known of it where the text does not show one of its mentions."""
    shown = [document.text[start : start + len(surface)] if start >= 0 else "" for _, surface, start in mentions]
    wrong = [
        (surface, start, found)
        for (_, surface, start), found in zip(mentions, shown, strict=True)
        if not surface or found != surface
    ]
    if wrong:
        surface, start, found = wrong[0]
        strings = tuple(surface for _, surface, _ in mentions)
        reason = f"{surface!r} is to stand at character {start}, where the text has {found!r}"
        document.unaligned.append(Unaligned("event", kind, strings, reason))
        return
    arguments = (Argument(role, Span(start, start + len(surface))) for role, surface, start in mentions)
    document.events.append(Event(kind, tuple(arguments)))
