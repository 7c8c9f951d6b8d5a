"""The lines of a brat .ann file, set into a document (see `brat` for their shapes).

References may point forward, so the lines are taken kind by kind: text-bound ones, events, relations, the
rest.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kexue.errors import DataError
from kexue.extraction.document import Argument, Document, Event, Span, Unaligned
from kexue.extraction.formats.offsets import (
    Mark,
    choose,
    code_points,
    locate,
    same_surface,
    single_line_ends,
    utf16_units,
)
from kexue.extraction.formats.standoff import End, relate, surface

_ID = re.compile(r"[TREAMN#]\S+\t|\*\t")
_CUT_ID = re.compile(r"[TREAMN#]\d+(\s|$)|[TREAMN#*]$")
_COUNTINGS = (code_points, single_line_ends, utf16_units)


@dataclass(slots=True)
class Line:
    """One annotation: where it stands, its id, and its fields after the id."""

    path: Path
    number: int
    id: str
    fields: list[str]

    def error(self, message: str) -> DataError:
        """The error for this line."""
        return DataError(f"{self.id} {message}", path=self.path, line=self.number)


@dataclass(slots=True)
class _Reading:
    """What ids stand for: an end of relations, and [list, index] in the document."""

    document: Document
    ends: dict[str, End] = field(default_factory=dict)
    references: dict[str, list[str | int]] = field(default_factory=dict)

    def end(self, line: Line, identity: str) -> End:
        if identity not in self.ends:
            raise line.error(f"refers to {identity}, which the file does not define; was the file cut short?")
        return self.ends[identity]

    def reference(self, line: Line, identity: str) -> list[str | int]:
        if identity not in self.references:
            raise line.error(f"refers to {identity}, which the file does not define; was the file cut short?")
        return self.references[identity]

    def note(self, identity: str, list_name: str) -> None:
        """Let the id stand for what was appended last to the document's list."""
        self.references[identity] = [list_name, len(getattr(self.document, list_name)) - 1]


def annotate(document: Document, annotation: str, path: Path) -> None:
    """Set the annotation into the document; raises `DataError` with path and line."""
    lines = list(_lines(annotation, path))
    kinds = {kind: [line for line in lines if line.id[0] in kind] for kind in ("T", "E", "R", "*AMN#")}
    reading = _Reading(document)
    triggers = {_pairs(line)[0][1] for line in kinds["E"]}
    _text_bound(reading, kinds["T"], triggers)
    reading.ends |= {line.id: reading.end(line, _pairs(line)[0][1]) for line in kinds["E"]}
    for line in kinds["E"]:
        _event(reading, line)
    for line in kinds["R"]:
        _relation(reading, line)
    for line in kinds["*AMN#"]:
        _remark(reading, line)


def _lines(annotation: str, path: Path) -> Iterator[Line]:
    """The annotations; a line that begins like none goes on with the text of the text-bound one before."""
    current: Line | None = None
    for number, content in enumerate(annotation.split("\n"), start=1):
        content = content.rstrip("\r")
        if _ID.match(content):
            if current:
                yield current
            identity, *fields = content.split("\t", 2)
            current = Line(path, number, identity, fields)
        elif content.strip():
            if not current or current.id[0] != "T" or len(current.fields) < 2 or _CUT_ID.match(content):
                message = f"is not a brat annotation: {content[:60]!r}; it must begin with an id like T1 and a tab"
                raise DataError(message, path=path, line=number)
            current.fields[1] += "\n" + content
    if current:
        yield current


def _text_bound(reading: _Reading, lines: Sequence[Line], triggers: Collection[str]) -> None:
    parsed = [(line, *_marks(line)) for line in lines]
    whole = [Mark(marks[0].start, marks[0].end, line.fields[1]) for line, _, marks in parsed if len(marks) == 1]
    places = choose(reading.document.text, whole, _COUNTINGS)
    for line, label, marks in parsed:
        end = _span(reading.document, line, label, [locate(places, mark) for mark in marks])
        reading.ends[line.id] = end
        if line.id in triggers:
            continue
        if isinstance(end, Span):
            reading.document.entities.append(end)
            reading.note(line.id, "entities")
        else:
            reason = f"{line.path.name}:{line.number}: its offsets do not show this text"
            reading.document.unaligned.append(Unaligned("entity", label, (end,), reason))
            reading.note(line.id, "unaligned")


def _marks(line: Line) -> tuple[str, list[Mark]]:
    """Label and pieces of a text-bound annotation."""
    label, _, offsets = line.fields[0].partition(" ")
    try:
        pairs = [piece.split() for piece in offsets.split(";")]
        marks = [Mark(int(start), int(end)) for start, end in pairs]
    except ValueError:
        marks = []
    if not label or not marks or len(line.fields) < 2:
        raise line.error("must be: id, tab, label start end, tab, text; was the file cut short?")
    return label, marks


def _span(document: Document, line: Line, label: str, located: Sequence[tuple[int, int] | None]) -> End:
    """The span, or the written surface if the text at the offsets is another."""
    pieces = sorted(piece for piece in located if piece)
    found = " ".join(document.text[start:end] for start, end in pieces)
    if len(pieces) < len(located) or not same_surface(found, line.fields[1]):
        return line.fields[1]
    joined = _joined(document.text, pieces)
    return Span(joined[0][0], joined[-1][1], label, fragments=tuple(joined) if len(joined) > 1 else ())


def _joined(text: str, pieces: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Pieces with nothing but line breaks between them made one."""
    joined = [pieces[0]]
    for start, end in pieces[1:]:
        if text[joined[-1][1] : start].strip("\r\n"):
            joined.append((start, end))
        else:
            joined[-1] = (joined[-1][0], end)
    return joined


def _pairs(line: Line) -> list[tuple[str, str]]:
    """The (role, id) pairs of an event; those of a relation follow its type."""
    pairs = [part.partition(":") for part in line.fields[0].split() if ":" in part]
    if not pairs or not all(role and identity for role, _, identity in pairs):
        raise line.error("must list role:id pairs; was the file cut short?")
    return [(role, identity) for role, _, identity in pairs]


def _event(reading: _Reading, line: Line) -> None:
    (kind, trigger), *pairs = _pairs(line)
    named = [("trigger", trigger), *pairs]
    roles = {role for role, _ in named}
    ends = [(_base(role, roles), reading.end(line, identity)) for role, identity in named]
    spans = [(role, end) for role, end in ends if isinstance(end, Span)]
    document = reading.document
    if len(spans) == len(ends):
        document.events.append(Event(kind, tuple(Argument(role, span) for role, span in spans)))
        reading.note(line.id, "events")
    else:
        strings = tuple(surface(document, end) for _, end in ends)
        document.unaligned.append(Unaligned("event", kind, strings, "an argument has no place in the text"))
        reading.note(line.id, "unaligned")
    reading.references[trigger] = reading.references[line.id]


def _base(role: str, roles: set[str]) -> str:
    """The role without the number that brat gives to the second and later ones of a kind."""
    base = role.rstrip("0123456789")
    return base if base in roles else role


def _relation(reading: _Reading, line: Line) -> None:
    pairs = _pairs(line)
    predicate = line.fields[0].split()[0]
    if len(pairs) != 2 or ":" in predicate:
        raise line.error("must be: id, tab, type Arg1:id Arg2:id; was the file cut short?")
    if {role for role, _ in pairs} == {"Arg1", "Arg2"}:
        pairs.sort()
    subject, object = (reading.end(line, identity) for _, identity in pairs)
    relate(reading.document, subject, predicate, object)
    aligned = isinstance(subject, Span) and isinstance(object, Span)
    reading.note(line.id, "relations" if aligned else "unaligned")


def _remark(reading: _Reading, line: Line) -> None:
    """Lines about annotations, into `meta`."""
    name, *words = line.fields[0].split() or [""]
    if not words:
        raise line.error("must name what it refers to; was the file cut short?")
    remark: dict[str, object] = {"type": name}
    if line.id == "*":
        list_name = "equivalences"
        remark["members"] = [reading.reference(line, identity) for identity in words]
    else:
        list_name = {"A": "attributes", "M": "attributes", "N": "normalizations", "#": "notes"}[line.id[0]]
        remark["target"] = reading.reference(line, words[0])
        remark |= {"value": " ".join(words[1:])} if words[1:] else {}
        remark |= {"text": line.fields[1]} if line.fields[1:] else {}
    reading.document.meta.setdefault(list_name, []).append(remark)
