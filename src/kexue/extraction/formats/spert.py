"""SpERT: entities by token numbers, end exclusive; the ends of a relation by entity number.

    {"tokens": ["Marie", "Curie", "left", "Warsaw"], "orig_id": 7,
     "entities": [{"type": "Peop", "start": 0, "end": 2}, {"type": "Loc", "start": 3, "end": 4}],
     "relations": [{"type": "Live_In", "head": 0, "tail": 1}]}

Eberts and Ulges (2020). TablERT (Ma et al. 2022) gives the entities as BILOU tags instead,
`"tags": ["B-Peop", "L-Peop", "O", "U-Loc"]`, numbered from left to right.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from kexue.errors import DataError
from kexue.extraction.document import Document, Relation, Span
from kexue.extraction.formats.gold import from_spans
from kexue.extraction.formats.records import (
    field,
    has_objects,
    identifier,
    of_kind,
    optional,
    read_each,
    rest,
    strings,
)
from kexue.extraction.formats.source import Sample
from kexue.extraction.formats.tags import spans_of_tags
from kexue.extraction.formats.tokens import TokenText, join_tokens

_KNOWN = ("id", "orig_id", "tokens", "tags", "entities", "relations")


def detect(sample: Sample) -> bool:
    """A record with `tokens` and either `entities` that are objects or `tags`."""
    record = sample.record
    if not isinstance(record, dict) or not isinstance(record.get("tokens"), list):
        return False
    return isinstance(record.get("tags"), list) or has_objects(record, "entities")


def read(path: Path) -> Iterator[Document]:
    """The documents of a file; raises `DataError` with the line of the record that is wrong."""
    return read_each(path, _document)


def _document(record: dict[str, Any]) -> Document:
    joined = join_tokens(strings(field(record, "tokens", list), "'tokens'"))
    entities = _tagged(record, joined) if "tags" in record else _listed(record, joined)
    relations = [_relation(item, entities) for item in optional(record, "relations", list, [])]
    return from_spans(joined.text, entities, relations, identifier(record, "orig_id", "id"), rest(record, _KNOWN))


def _tagged(record: dict[str, Any], joined: TokenText) -> list[Span]:
    tags = strings(field(record, "tags", list), "'tags'")
    if len(tags) != len(joined.offsets):
        raise DataError(f"there are {len(joined.offsets)} tokens but {len(tags)} tags")
    return [joined.span(*span) for span in spans_of_tags(tags)]


def _listed(record: dict[str, Any], joined: TokenText) -> list[Span]:
    return [_entity(of_kind(item, dict, "an entity"), joined) for item in field(record, "entities", list)]


def _entity(item: dict[str, Any], joined: TokenText) -> Span:
    start, end = (field(item, key, int, "an entity") for key in ("start", "end"))
    return joined.span(start, end, field(item, "type", str, "an entity"))


def _relation(item: Any, entities: Sequence[Span]) -> Relation:
    item = of_kind(item, dict, "a relation")
    head, tail = (field(item, key, int, "a relation") for key in ("head", "tail"))
    for number in (head, tail):
        if not 0 <= number < len(entities):
            raise DataError(f"a relation names entity {number}, but entities are numbered 0 to {len(entities) - 1}")
    return Relation(entities[head], field(item, "type", str, "a relation"), entities[tail])
