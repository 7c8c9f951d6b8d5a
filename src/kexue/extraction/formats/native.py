"""The package's own format: one `Document` as a JSON object per line, or a JSON array of them.

    {"text": "Aspirin caused a rash.", "entities": [{"start": 0, "end": 7, "label": "drug"}], "relations": []}

docs/document.schema.json describes it; `Document.to_json` and `from_json` are the two directions. A key
that is not a field goes to `meta`, unless it resembles a field: "entites" is a mistake that would lose all
gold, so it is refused.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from kexue.errors import DataError
from kexue.extraction.document import Document
from kexue.extraction.formats.records import has_objects, read_each
from kexue.extraction.formats.source import Sample
from kexue.files import atomic_write

FIELDS = ("id", "text", "entities", "relations", "events", "unaligned", "meta")
_LIKENESS = 0.8  # of a mistyped key, as difflib measures it: "entites" 0.93, "relation" 0.94; "texture" is 0.73


def detect(sample: Sample) -> bool:
    """A record with `text`, whose entities, relations and events are lists of objects.

    A record that has none of them is a bare text, but only if it has no other list or object either: that may
    be gold in a form that is not known.
    """
    record = sample.record
    if not isinstance(record, dict) or not isinstance(record.get("text"), str):
        return False
    gold = [key for key in ("entities", "relations", "events", "unaligned") if record.get(key) is not None]
    bare = not any(isinstance(value, list | dict) for key, value in record.items() if key not in FIELDS)
    return all(has_objects(record, key) for key in gold) if gold else bare


def read(path: Path) -> Iterator[Document]:
    """The documents of a file; raises `DataError` with the line of the record that is wrong."""
    return read_each(path, from_record)


def write(documents: Iterable[Document], path: Path) -> None:
    """One document per line; the file appears when the last one is written."""
    with atomic_write(path) as file:
        for document in documents:
            file.write(json.dumps(document.to_json(), ensure_ascii=False) + "\n")


def from_record(record: dict[str, Any]) -> Document:
    extra = {key: value for key, value in record.items() if key not in FIELDS}
    for key in extra:
        close = get_close_matches(key.lower(), FIELDS, n=1, cutoff=_LIKENESS)
        if close:
            raise DataError(f"has a key {key!r}; is {close[0]!r} meant? (anything of your own can go into 'meta')")
    document = Document.from_json(record)
    document.meta = extra | document.meta
    return document
