"""CrossRE: token numbers, end inclusive, and a note on each relation.

    {"doc_key": "ai-train-1", "sentence": ["Marie", "Curie", "left", "Warsaw"],
     "ner": [[0, 1, "person"], [3, 3, "city"]],
     "relations": [[0, 1, 3, 3, "physical", "she was born there", false, false]]}

Bassignana and Plank (2022). The last three parts of a relation are the annotator's explanation, whether the
annotator was uncertain, and whether the syntax is ambiguous; where any is set, it is kept in
`meta["relation_notes"]` as [number of the row, explanation, uncertain, ambiguous].
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kexue.extraction.document import Document, Relation, Span
from kexue.extraction.formats.gold import from_spans, with_labels
from kexue.extraction.formats.records import (
    field,
    has_rows,
    identifier,
    optional,
    read_each,
    rest,
    row,
    strings,
)
from kexue.extraction.formats.source import Sample
from kexue.extraction.formats.tokens import TokenText, join_tokens

_KNOWN = ("doc_key", "sentence", "ner", "relations")


def detect(sample: Sample) -> bool:
    """A record with one `sentence` and rows of `ner`."""
    return has_rows(sample.record, "ner") and isinstance(sample.record.get("sentence"), list)


def read(path: Path) -> Iterator[Document]:
    """The documents of a file; raises `DataError` with the line of the record that is wrong."""
    return read_each(path, _document)


def _document(record: dict[str, Any]) -> Document:
    joined = join_tokens(strings(field(record, "sentence", list), "'sentence'"))
    entities = [_entity(joined, item) for item in field(record, "ner", list)]
    rows = optional(record, "relations", list, [])
    relations = [_relation(joined, item) for item in rows]
    notes = [[number, *item[5:8]] for number, item in enumerate(rows) if any(item[5:8])]
    meta = rest(record, _KNOWN) | ({"relation_notes": notes} if notes else {})
    return from_spans(joined.text, entities, with_labels(entities, relations), identifier(record, "doc_key"), meta)


def _entity(joined: TokenText, item: Any) -> Span:
    start, last, label = row(item, (int, int, str), "an entity [start, last, type]")
    return joined.span(start, last + 1, label)


def _relation(joined: TokenText, item: Any) -> Relation:
    what = "a relation [start, last, start, last, type, ...]"
    subject_start, subject_last, object_start, object_last, label = row(item, (int, int, int, int, str), what)
    return Relation(joined.span(subject_start, subject_last + 1), label, joined.span(object_start, object_last + 1))
