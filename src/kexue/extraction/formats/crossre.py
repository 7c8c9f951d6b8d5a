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

from kexue.extraction.document import Document
from kexue.extraction.formats.gold import from_spans, with_labels
from kexue.extraction.formats.records import (
    field,
    has_rows,
    identifier,
    optional,
    read_each,
    rest,
    strings,
)
from kexue.extraction.formats.source import Sample
from kexue.extraction.formats.token_rows import TokenRows
from kexue.extraction.formats.tokens import join_tokens

_KNOWN = ("doc_key", "sentence", "ner", "relations")


def detect(sample: Sample) -> bool:
    """A record with one `sentence` and rows of `ner`."""
    return has_rows(sample.record, "ner") and isinstance(sample.record.get("sentence"), list)


def read(path: Path) -> Iterator[Document]:
    """The documents of a file; raises `DataError` with the line of the record that is wrong."""
    return read_each(path, _document)


def _document(record: dict[str, Any]) -> Document:
    joined = join_tokens(strings(field(record, "sentence", list), "'sentence'"))
    rows = TokenRows(joined, last=True)
    entities = [rows.span(item) for item in field(record, "ner", list)]
    related = optional(record, "relations", list, [])
    relations = [rows.relation(item) for item in related]
    notes = [[number, *item[5:8]] for number, item in enumerate(related) if any(item[5:8])]
    meta = rest(record, _KNOWN) | ({"relation_notes": notes} if notes else {})
    return from_spans(joined.text, entities, with_labels(entities, relations), identifier(record, "doc_key"), meta)
