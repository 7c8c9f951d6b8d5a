"""DyGIE and SciERC: one document per record, tokens numbered through all its sentences, end inclusive.

    {"doc_key": "X1", "sentences": [["Marie", "Curie", "left", "Warsaw", "."], ["She", "studied", "."]],
     "ner":       [[[0, 1, "PER"], [3, 3, "LOC"]], []],
     "relations": [[[0, 1, 3, 3, "BORN-IN"]], []],
     "events":    [[[[2, "Movement"], [0, 1, "Agent"]]], []],
     "clusters":  [[[0, 1], [5, 5]]]}

Luan et al. (2018), Wadden et al. (2019). An event is a list whose first item is the trigger, [token, type] or
[start, last, type], and whose others are arguments. The trigger becomes an argument with the role "trigger".
Clusters of coreference are kept in `meta["clusters"]`, in characters, end exclusive.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from kexue.errors import DataError
from kexue.extraction.document import Argument, Document, Event, Span
from kexue.extraction.formats.gold import from_spans, with_labels
from kexue.extraction.formats.records import (
    field,
    has_rows,
    identifier,
    of_kind,
    optional,
    read_each,
    rest,
    row,
    strings,
)
from kexue.extraction.formats.source import Sample
from kexue.extraction.formats.token_rows import TokenRows
from kexue.extraction.formats.tokens import join_tokens

_KNOWN = ("doc_key", "sentences", "ner", "relations", "events", "clusters")


def detect(sample: Sample) -> bool:
    """A record whose `sentences` are lists of tokens."""
    return has_rows(sample.record, "sentences")


def read(path: Path) -> Iterator[Document]:
    """The documents of a file; raises `DataError` with the line of the record that is wrong."""
    return read_each(path, _document)


def _document(record: dict[str, Any]) -> Document:
    sentences = [of_kind(item, list, "a sentence") for item in field(record, "sentences", list)]
    joined = join_tokens(strings([token for sentence in sentences for token in sentence], "'sentences'"))
    rows = TokenRows(joined, last=True)
    entities = [rows.span(item) for item in _by_sentence(record, "ner", len(sentences))]
    relations = [rows.relation(item) for item in _by_sentence(record, "relations", len(sentences))]
    document = from_spans(
        joined.text,
        entities,
        with_labels(entities, relations),
        identifier(record, "doc_key"),
        rest(record, _KNOWN) | _clusters(rows, record),
    )
    labels = {(entity.start, entity.end): entity for entity in reversed(entities)}
    document.events = [_event(rows, labels, item) for item in _by_sentence(record, "events", len(sentences))]
    return document


def _by_sentence(record: dict[str, Any], key: str, num_sentences: int) -> Iterable[Any]:
    lists = optional(record, key, list, [])
    if lists and len(lists) != num_sentences:
        raise DataError(f"{key!r} has {len(lists)} lists for {num_sentences} sentences; it needs one for each")
    return [item for sentence in lists for item in of_kind(sentence, list, f"each item of {key!r}")]


def _event(rows: TokenRows, labels: dict[tuple[int, int], Span], item: Any) -> Event:
    trigger, *arguments = of_kind(item, list, "an event") or [[]]
    if isinstance(trigger, list) and len(trigger) == 2:
        trigger = [trigger[0], *trigger]  # [token, type] is [start, last, type] of one token
    found = [rows.span(part) for part in (trigger, *arguments)]
    spans = [labels.get((span.start, span.end), Span(span.start, span.end)) for span in found]
    roles = ["trigger", *(span.label for span in found[1:])]
    return Event(found[0].label, tuple(Argument(role, span) for role, span in zip(roles, spans, strict=True)))


def _clusters(rows: TokenRows, record: dict[str, Any]) -> dict[str, Any]:
    clusters = [
        [_place(rows, item) for item in of_kind(cluster, list, "a cluster")]
        for cluster in optional(record, "clusters", list, [])
    ]
    return {"clusters": clusters} if clusters else {}


def _place(rows: TokenRows, item: Any) -> list[int]:
    start, last = row(item, (int, int), "a mention [start, last] of a cluster")
    span = rows.place(start, last)
    return [span.start, span.end]
