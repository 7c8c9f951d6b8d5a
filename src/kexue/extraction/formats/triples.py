"""Triple lists: facts as strings without types, as CasRel, PRGC and TPLinker use them.

    {"text": "A.C. Cesena plays in Cesena .", "triple_list": [["A.C. Cesena", "ground", "Cesena"]]}

    {"text": "A.C. Cesena plays in Cesena .",
     "relation_list": [{"subject": "A.C. Cesena", "predicate": "ground", "object": "Cesena",
                        "subj_char_span": [0, 11], "obj_char_span": [21, 27]}],
     "entity_list": [{"text": "Cesena", "type": "CITY", "char_span": [21, 27]}]}

The first form is that of CasRel and PRGC, the second that of TPLinker. Character spans are used where a
relation or an entity has them; what is given as a string alone is placed by the occurrence rule, an entity
at all its occurrences. One JSON array or one record per line. Spans in tokens depend on a tokenizer and are
passed over.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from kexue.errors import DataError
from kexue.extraction.document import Document, Relation, Span, Unaligned
from kexue.extraction.formats.gold import from_strings, with_labels
from kexue.extraction.formats.records import (
    field,
    has_objects,
    has_rows,
    identifier,
    of_kind,
    optional,
    read_each,
    rest,
    row,
)
from kexue.extraction.formats.source import Sample
from kexue.extraction.occurrence import StringTriple, place_entity

_KNOWN = ("id", "text", "triple_list", "relation_list", "entity_list")


def detect(sample: Sample) -> bool:
    """A record with `text` and a `triple_list` or a `relation_list`."""
    return has_rows(sample.record, "triple_list") or has_objects(sample.record, "relation_list")


def read(path: Path) -> Iterator[Document]:
    """The documents of a file; raises `DataError` with the line of the record that is wrong."""
    return read_each(path, _document)


def _document(record: dict[str, Any]) -> Document:
    text = field(record, "text", str)
    listed = [_listed(item) for item in optional(record, "triple_list", list, [])]
    facts = [of_kind(item, dict, "a relation") for item in optional(record, "relation_list", list, [])]
    things = [of_kind(item, dict, "an entity") for item in optional(record, "entity_list", list, [])]
    if "triple_list" not in record and "relation_list" not in record:
        raise DataError(f"the record lacks 'triple_list' and 'relation_list'; it has {sorted(record)}")
    document = from_strings(
        text,
        [*listed, *(_named(fact) for fact in facts if not _is_exact(fact))],
        [_exact(text, fact) for fact in facts if _is_exact(fact)],
        identifier(record, "id"),
        rest(record, _KNOWN),
        [field(thing, "text", str, "an entity") for thing in things],
    )
    for thing in things:
        _add_entity(document, thing)
    document.relations = with_labels(document.entities, document.relations)
    return document


def _listed(item: Any) -> StringTriple:
    return StringTriple(*row(item, (str, str, str), "a triple [subject, predicate, object]"))


def _named(fact: dict[str, Any]) -> StringTriple:
    subject, predicate, object = (field(fact, k, str, "a relation") for k in ("subject", "predicate", "object"))
    return StringTriple(subject, predicate, object)


def _is_exact(fact: dict[str, Any]) -> bool:
    return bool(fact.get("subj_char_span") and fact.get("obj_char_span"))


def _exact(text: str, fact: dict[str, Any]) -> Relation:
    triple = _named(fact)
    return Relation(
        _span(text, fact, "subj_char_span", triple.subject),
        triple.predicate,
        _span(text, fact, "obj_char_span", triple.object),
    )


def _add_entity(document: Document, thing: dict[str, Any]) -> None:
    surface, label = field(thing, "text", str, "an entity"), optional(thing, "type", str, "", "an entity")
    if thing.get("char_span"):
        spans = [replace(_span(document.text, thing, "char_span", surface), label=label)]
    else:
        spans = place_entity(document.text, surface, label)
    document.entities = list(dict.fromkeys([*document.entities, *spans]))
    if not spans:
        reason = f"{surface!r} is not in the text"
        document.unaligned.append(Unaligned("entity", label, (surface,), reason))


def _span(text: str, record: dict[str, Any], key: str, surface: str) -> Span:
    start, end = row(record[key], (int, int), f"{key!r} [start, end]")
    if not 0 <= start < end <= len(text) or text[start:end] != surface:
        raise DataError(
            f"{key!r} says characters {start} to {end} (end exclusive) are {surface!r}, "
            f"but they are {text[max(start, 0) : max(end, 0)]!r}; "
            f"mend it, or leave {key!r} out to have the string sought in the text"
        )
    return Span(start, end)
