"""doccano: JSON Lines of texts with labelled offsets, in the shapes of its several versions.

    {"id": 1, "text": "...", "label": [[0, 7, "drug"]]}                                    1.x (or "labels")
    {"id": 1, "text": "...", "entities": [{"id": 3, "label": "drug", "start_offset": 0, "end_offset": 7}],
     "relations": [{"id": 5, "from_id": 3, "to_id": 4, "type": "causes"}], "Comments": []}  1.6 and later
    {"doc_id": 1, "text": "...", "entities": [[0, 7, "drug"]], "username": "ann"}           2018
    {"id": 1, "text": "...", "annotations": [{"label": 2, "start_offset": 0, "end_offset": 7}]}          0.x

In the 0.x shape labels are numbers, whose names doccano keeps in another file (label_config.json). CMeEE as
often passed on is the second shape with the surface in "entity". All other fields of a record become `meta`.

Offsets count UTF-16 code units, because the browser makes them (doccano issue 2290); the reader takes them as
characters where that alone fits the text or the surfaces. A project with "count grapheme clusters as one
character" writes nothing that tells it apart: switch that off where texts hold emoji or combining marks.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from kexue.errors import DataError
from kexue.extraction.document import Document
from kexue.extraction.formats.offsets import (
    Mark,
    choose,
    code_points,
    single_line_ends,
    to_utf16,
    utf16_units,
)
from kexue.extraction.formats.records import field, optional, read_each, refuse_strangers
from kexue.extraction.formats.source import Sample
from kexue.extraction.formats.standoff import UNTYPED, End, mentions, numbered, place, relate
from kexue.files import atomic_write

_SPANS = ("entities", "label", "labels", "annotations")
_READ = (*_SPANS, "text", "data", "id", "doc_id", "relations", "events", "unaligned", "meta")
_COUNTINGS = (utf16_units, code_points, single_line_ends)


def detect(sample: Sample) -> bool:
    """Whether the first record is a text with offsets in one of the shapes."""
    record = sample.record
    if not isinstance(record, Mapping) or not isinstance(record.get("text", record.get("data")), str):
        return False
    if "Comments" in record or '"start_offset"' in sample.head:
        return True
    return any(
        isinstance(items := record.get(key), list) and all(map(_is_triple, items))
        for key in ("label", "labels", "entities")
        if key != "entities" or record.get(key)  # other formats have empty "entities" too
    )


def read(path: Path) -> Iterator[Document]:
    """Documents of a doccano export; an entity whose surface its offsets do not show is kept as unaligned.

    Raises `DataError` with path and line for offsets outside the text and for unknown ends of relations.
    """
    return read_each(path, _document)


def write(documents: Iterable[Document], path: Path) -> None:
    """Write JSON Lines that doccano imports in a project for relations.

    A span without a label is called "entity". doccano has no discontinuous spans, so that the outer ends are
    written, and no events: these, gold without a place, and `meta` travel as fields that doccano keeps beside
    the text.
    """
    with atomic_write(path) as file:
        for document in documents:
            file.write(json.dumps(_record(document), ensure_ascii=False) + "\n")


def _document(record: dict[str, Any]) -> Document:
    text = field(record, "data" if "data" in record and "text" not in record else "text", str)
    refuse_strangers(record, _SPANS, (*_READ, "Comments"))
    kept = {key: record[key] for key in ("events", "unaligned") if record.get(key)}
    document = Document.from_json({"text": text, "meta": optional(record, "meta", dict, {}), **kept})
    identity = record.get("id", record.get("doc_id"))
    document.id = None if identity is None else str(identity)
    document.meta.update((key, value) for key, value in record.items() if key not in _READ and value)
    items = [_entity(item) for key in _SPANS for item in optional(record, key, list, [])]
    places = choose(text, [mark for _, _, mark in items], _COUNTINGS)
    ends = {identity: place(document, label, mark, places) for identity, label, mark in items}
    for relation in optional(record, "relations", list, []):
        _relate(document, relation, ends)
    return document


def _entity(item: Any) -> tuple[Any, str, Mark]:
    """(id, label, offsets) of an entity in any of the shapes."""
    if _is_triple(item):
        start, end, label = item
        return object(), label, Mark(start, end)
    if not isinstance(item, dict) or "label" not in item:
        raise DataError(f"an entity must be [start, end, label] or an object with a label; got {item!r}")
    start, end = field(item, "start_offset", int, "an entity"), field(item, "end_offset", int, "an entity")
    identity, label = item.get("id", object()), item["label"]
    if isinstance(identity, list | dict) or not isinstance(label, str | int):
        raise DataError(f"an entity's id must be a number or a string, and its label too; got {item!r}")
    surface = optional(item, "entity", str, "", "an entity") if item.get("entity") is not None else None
    return identity, str(label), Mark(start, end, surface)


def _is_triple(item: Any) -> bool:
    return isinstance(item, Sequence) and [type(part) for part in item] == [int, int, str]


def _relate(document: Document, relation: Any, ends: Mapping[Any, End]) -> None:
    try:
        subject, object, predicate = ends[relation["from_id"]], ends[relation["to_id"]], relation["type"]
    except (KeyError, TypeError):
        raise DataError(
            f"a relation must have type and, in from_id and to_id, ids of its entities; got {relation!r}"
        ) from None
    relate(document, subject, str(predicate), object)


def _record(document: Document) -> dict[str, Any]:
    spans = mentions(document)
    ids = numbered(spans)
    units = to_utf16(document.text)
    full = document.to_json()
    return {
        **{key: full[key] for key in ("id", "text", "events", "unaligned", "meta") if key in full},
        "entities": [
            {
                "id": number,
                "label": span.label or UNTYPED,
                "start_offset": units[span.start],
                "end_offset": units[span.end],
            }
            for number, span in enumerate(spans, start=1)
        ],
        "relations": [
            {"id": number, "from_id": ids[item.subject], "to_id": ids[item.object], "type": item.predicate}
            for number, item in enumerate(document.relations, start=1)
        ],
    }
