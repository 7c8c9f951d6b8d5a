"""A document as the lines of a brat .ann file: the other direction of `brat_lines`."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import count
from typing import Any

from kexue.errors import DataError
from kexue.extraction.document import Document, Event, Span
from kexue.extraction.formats.standoff import UNTYPED, mentions, numbered

_REMARKS = {"equivalences": "*", "attributes": "A", "normalizations": "N", "notes": "#"}
_IDS = {"entities": "T", "relations": "R", "events": "E"}


def render(document: Document) -> str:
    """The .ann text; raises `DataError` for what the format cannot hold."""
    arguments = [argument for event in document.events for argument in _roles(event)]
    spans = mentions(document)
    spans += dict.fromkeys(span for _, span in arguments if span not in set(spans))
    ids = numbered(spans)
    lines = [_text_bound(document.text, number, span, span.label) for number, span in enumerate(spans, start=1)]
    for number, event in enumerate(document.events, start=1):
        trigger = len(spans) + number
        lines.append(_text_bound(document.text, trigger, _trigger(event), event.type))
        roles = "".join(f" {role}:T{ids[span]}" for role, span in _numbered_roles(_roles(event)))
        lines.append(f"E{number}\t{_name(event.type)}:T{trigger}{roles}")
    for number, relation in enumerate(document.relations, start=1):
        ends = f"Arg1:T{ids[relation.subject]} Arg2:T{ids[relation.object]}"
        lines.append(f"R{number}\t{_name(relation.predicate)} {ends}\t")
    lines += _remarks(document)
    return "".join(f"{line}\n" for line in lines)


def _text_bound(text: str, number: int, span: Span, label: str) -> str:
    pieces = [piece for ends in span.fragments or ((span.start, span.end),) for piece in _cut(text, *ends)]
    if not pieces:
        raise DataError(f"the span {span.start} to {span.end} holds line breaks only, which brat cannot annotate")
    offsets = ";".join(f"{start} {end}" for start, end in pieces)
    written = " ".join(text[start:end] for start, end in pieces)
    return f"T{number}\t{_name(label)} {offsets}\t{written}"


def _cut(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """The pieces of a span between line breaks."""
    for match in re.finditer(r"[^\r\n]+", text[start:end]):
        yield start + match.start(), start + match.end()


def _trigger(event: Event) -> Span:
    for argument in event.arguments:
        if argument.role == "trigger":
            return argument.span
    raise DataError(f'an event {event.type!r} has no argument "trigger", which brat demands')


def _roles(event: Event) -> list[tuple[str, Span]]:
    """The arguments but for the (first) trigger."""
    trigger = next((i for i, argument in enumerate(event.arguments) if argument.role == "trigger"), None)
    return [(argument.role, argument.span) for i, argument in enumerate(event.arguments) if i != trigger]


def _numbered_roles(roles: Sequence[tuple[str, Span]]) -> Iterator[tuple[str, Span]]:
    seen: Counter[str] = Counter()
    for role, span in roles:
        seen[role] += 1
        yield f"{_name(role)}{seen[role] if seen[role] > 1 else ''}", span


def _name(label: str) -> str:
    return re.sub(r"\s+", "_", label) or UNTYPED


def _remarks(document: Document) -> Iterator[str]:
    """Lines for the remarks in `meta` whose targets are in the file."""
    for list_name, letter in _REMARKS.items():
        numbers = count(1)
        for remark in document.meta.get(list_name, ()):
            targets = [_identity(target) for target in remark.get("members", [remark.get("target")])]
            if None not in targets:
                identity = letter if letter == "*" else f"{letter}{next(numbers)}"
                yield _remark(identity, remark, [str(target) for target in targets])


def _remark(identity: str, remark: dict[str, Any], targets: Sequence[str]) -> str:
    words = [remark["type"], *targets, *([remark["value"]] if "value" in remark else [])]
    return "\t".join([identity, " ".join(words), *([remark["text"]] if "text" in remark else [])])


def _identity(target: Any) -> str | None:
    """The id of [list, index], or None for gold without a place."""
    list_name, index = target
    return f"{_IDS[list_name]}{index + 1}" if list_name in _IDS else None
