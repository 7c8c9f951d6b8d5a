"""LIC2019 and DuIE 1.0, DuIE 2.0, CMeIE: facts as strings with the types of their ends.

    {"text": "王宁演过《绝代双骄》里的邀月",                                  DuIE 1.0: the object is a string
     "spo_list": [{"subject": "绝代双骄", "subject_type": "影视作品", "predicate": "主演",
                   "object": "王宁", "object_type": "人物"}]}
     "spo_list": [{"subject": "王宁", "subject_type": "娱乐人物", "predicate": "饰演",      DuIE 2.0 and CMeIE
                   "object": {"@value": "邀月", "inWork": "绝代双骄"},
                   "object_type": {"@value": "人物", "inWork": "影视作品"}}]}

An object with several slots becomes one relation a slot: `@value` keeps the name of the predicate (饰演), any
other slot is named after it (饰演_inWork). All have the same subject, so which of two parts is played in
which of two works is lost when one subject has both. An empty slot states nothing. `postag` is passed over.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kexue.extraction.document import Document
from kexue.extraction.formats.gold import from_strings
from kexue.extraction.formats.records import (
    field,
    has_objects,
    identifier,
    of_kind,
    optional,
    read_each,
    rest,
)
from kexue.extraction.formats.source import Sample
from kexue.extraction.occurrence import StringTriple

_KNOWN = ("id", "text", "spo_list", "postag")
_MAIN = "@value"


def detect(sample: Sample) -> bool:
    """A record with `spo_list`."""
    return has_objects(sample.record, "spo_list")


def read(path: Path) -> Iterator[Document]:
    """The documents of a file; raises `DataError` with the line of the record that is wrong."""
    return read_each(path, _document)


def _document(record: dict[str, Any]) -> Document:
    facts = [of_kind(item, dict, "an item of 'spo_list'") for item in field(record, "spo_list", list)]
    return from_strings(
        field(record, "text", str),
        [triple for fact in facts for triple in _triples(fact)],
        id=identifier(record, "id"),
        meta=rest(record, _KNOWN),
    )


def _triples(fact: dict[str, Any]) -> Iterator[StringTriple]:
    subject, predicate = (field(fact, key, str, "a fact") for key in ("subject", "predicate"))
    subject_type = optional(fact, "subject_type", str, "", "a fact")
    types = _slots(fact.get("object_type") or "", "'object_type'")
    for slot, value in _slots(fact.get("object"), "'object'").items():
        if value or slot == _MAIN:
            name = predicate if slot == _MAIN else f"{predicate}_{slot}"
            yield StringTriple(subject, name, value, subject_type, types.get(slot, ""))


def _slots(value: Any, what: str) -> dict[str, str]:
    """The slots of an object or of its type; a string is the main slot alone."""
    if isinstance(value, str):
        return {_MAIN: value}
    slots = of_kind(value, dict, f"{what} of a fact (if it is no string)")
    field(slots, _MAIN, str, what)
    return {name: of_kind(content, str, f"{name!r} of {what}") for name, content in slots.items()}
