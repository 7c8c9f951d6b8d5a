"""Standoff annotation: spans given by offsets, relations by references, both checked against the text.

What every annotation tool shares. An `End` is a span, or the surface that the file writes for one whose
offsets show another text; gold on such an end is kept as `Unaligned`, so that it stays in the gold count.
"""

from __future__ import annotations

from collections.abc import Sequence

from kexue.errors import DataError
from kexue.extraction.document import Document, Relation, Span, Unaligned
from kexue.extraction.formats.offsets import Mark, agrees, locate

End = Span | str

UNTYPED = "entity"
"""What a span without a label is called where a format demands one."""


def place(document: Document, label: str, mark: Mark, places: Sequence[int], score: float | None = None) -> End:
    """Append the span to the entities and return it, or append an `Unaligned` and return the mark's surface.

    Raises `DataError` for offsets outside the text where the file writes no surface.
    """
    located = locate(places, mark)
    if located is not None and agrees(document.text, places, mark):
        document.entities.append(Span(*located, label, score))
        return document.entities[-1]
    if mark.surface is None:
        where = f"{label!r} at {mark.start} to {mark.end}"
        raise DataError(f"{where} is not a span of its text of {len(document.text)} characters")
    found = "outside the text" if located is None else repr(document.text[slice(*located)])
    reason = f"offsets {mark.start} to {mark.end} are {found}"
    document.unaligned.append(Unaligned("entity", label, (mark.surface,), reason))
    return mark.surface


def relate(document: Document, subject: End, predicate: str, object: End, score: float | None = None) -> None:
    """Append the relation, or an `Unaligned` if one of its ends has no place in the text."""
    if isinstance(subject, Span) and isinstance(object, Span):
        document.relations.append(Relation(subject, predicate, object, score))
    else:
        strings = (surface(document, subject), surface(document, object))
        document.unaligned.append(Unaligned("relation", predicate, strings, "an end has no place in the text"))


def surface(document: Document, end: End) -> str:
    """The characters of an end."""
    return end if isinstance(end, str) else end.surface(document.text)


def mentions(document: Document) -> list[Span]:
    """The entities, then the ends of relations that are none of them, each once."""
    ends = [end for relation in document.relations for end in (relation.subject, relation.object)]
    entities = set(document.entities)
    return [*document.entities, *dict.fromkeys(end for end in ends if end not in entities)]


def numbered(spans: Sequence[Span]) -> dict[Span, int]:
    """Numbers from 1; a span given twice has the number of the first."""
    return {span: number for number, span in reversed(list(enumerate(spans, start=1)))}
