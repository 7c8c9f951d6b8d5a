"""The package's own format: one `Document` as a JSON object per line, or a JSON array of them.

    {"text": "Aspirin caused a rash.", "entities": [{"start": 0, "end": 7, "label": "drug"}], "relations": []}

docs/document.schema.json describes it; `Document.to_json` and `from_json` are the two directions. A key
that is not a field goes to `meta`, unless it resembles a field, or holds a list or an object where nothing is
annotated: "entites" and "spans" are mistakes that would lose all gold, so they are refused.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from kexue.errors import DataError
from kexue.extraction.document import Document, resembling
from kexue.extraction.formats.records import has_objects, read_each, refuse_strangers, strangers
from kexue.extraction.formats.source import Sample
from kexue.files import atomic_write

FIELDS = ("id", "text", "entities", "relations", "events", "unaligned", "meta")
_GOLD = ("entities", "relations", "events", "unaligned")


def detect(sample: Sample) -> bool:
    """A record with `text`, whose entities, relations and events are lists of objects.

    A record that has none of them is a bare text, but only if it has no other list or object either: that may
    be gold in a form that is not known.
    """
    record = sample.record
    if not isinstance(record, dict) or not isinstance(record.get("text"), str):
        return False
    gold = [key for key in _GOLD if record.get(key) is not None]
    return all(has_objects(record, key) for key in gold) if gold else not strangers(record, FIELDS)


def read(path: Path) -> Iterator[Document]:
    """The documents of a file; raises `DataError` with the line of the record that is wrong."""
    return read_each(path, from_record)


def write(documents: Iterable[Document], path: Path) -> None:
    """One document per line; the file appears when the last one is written."""
    with atomic_write(path) as file:
        for document in documents:
            file.write(json.dumps(document.to_json(), ensure_ascii=False) + "\n")


def from_record(record: dict[str, Any]) -> Document:
    """The document of one record.

    Raises `DataError` (without path and line) for a wrong one, also where gold may be under a key that is no field.
    """
    extra = {key: value for key, value in record.items() if key not in FIELDS}
    for key in extra:
        meant = resembling(key, FIELDS)
        if meant:
            raise DataError(f"has a key {key!r}; is {meant!r} meant? (anything of your own can go into 'meta')")
    document = Document.from_json(record)
    refuse_strangers(record, _GOLD, FIELDS)
    document.meta = extra | document.meta
    return document
