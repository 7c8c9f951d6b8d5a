"""Character-span JSON: entities and relations as rows of characters, end exclusive.

    {"text": "Marie Curie left Warsaw.",
     "entities": [[0, 11, "PER"], [17, 23, "LOC"]],
     "spans": [[0, 11, "place of birth", 17, 23]]}

The form of sentence-level extracts of Re-DocRED. A `triple_list` beside it says the same in strings and is
passed over.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kexue.errors import DataError
from kexue.extraction.document import Document, Relation, Span
from kexue.extraction.formats.gold import from_spans, with_labels
from kexue.extraction.formats.records import field, has_rows, identifier, optional, read_each, rest, row
from kexue.extraction.formats.source import Sample

_KNOWN = ("id", "text", "entities", "spans", "triple_list")


def detect(sample: Sample) -> bool:
    """A record with `text` and rows of `spans`."""
    return has_rows(sample.record, "spans") and isinstance(sample.record.get("text"), str)


def read(path: Path) -> Iterator[Document]:
    """The documents of a file; raises `DataError` with the line of the record that is wrong."""
    return read_each(path, _document)


def _document(record: dict[str, Any]) -> Document:
    text = field(record, "text", str)
    entities = [_entity(text, item) for item in optional(record, "entities", list, [])]
    relations = [_relation(text, item) for item in field(record, "spans", list)]
    return from_spans(text, entities, with_labels(entities, relations), identifier(record, "id"), rest(record, _KNOWN))


def _entity(text: str, item: Any) -> Span:
    start, end, label = row(item, (int, int, str), "an entity [start, end, type]")
    return _span(text, start, end, label)


def _relation(text: str, item: Any) -> Relation:
    what = "a relation [start, end, predicate, start, end]"
    subject_start, subject_end, label, object_start, object_end = row(item, (int, int, str, int, int), what)
    return Relation(_span(text, subject_start, subject_end), label, _span(text, object_start, object_end))


def _span(text: str, start: int, end: int, label: str = "") -> Span:
    if not 0 <= start < end <= len(text):
        raise DataError(f"characters {start} to {end} (end exclusive) are not a span of a text of {len(text)}")
    return Span(start, end, label)
