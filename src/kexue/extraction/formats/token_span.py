"""Token-span JSON: entities and relations as rows of token numbers, end exclusive.

    {"tokens": ["Marie", "Curie", "left", "Warsaw"],
     "entities": [[0, 2, "Peop"], [3, 4, "Loc"]],
     "relations": [[0, 2, 3, 4, "Live_In"]]}

The form of CoNLL04 and ACE in Wang and Lu (2020), "Two are better than one". One document per record; the
text is the tokens joined (`tokens.join_tokens`).
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

_KNOWN = ("id", "tokens", "entities", "relations")


def detect(sample: Sample) -> bool:
    """A record with `tokens` and rows of `entities`."""
    return has_rows(sample.record, "entities") and isinstance(sample.record.get("tokens"), list)


def read(path: Path) -> Iterator[Document]:
    """The documents of a file; raises `DataError` with the line of the record that is wrong."""
    return read_each(path, _document)


def _document(record: dict[str, Any]) -> Document:
    joined = join_tokens(strings(field(record, "tokens", list), "'tokens'"))
    rows = TokenRows(joined, last=False)
    entities = [rows.span(item) for item in field(record, "entities", list)]
    relations = [rows.relation(item) for item in optional(record, "relations", list, [])]
    return from_spans(
        joined.text,
        entities,
        with_labels(entities, relations),
        identifier(record, "id"),
        rest(record, _KNOWN),
    )
