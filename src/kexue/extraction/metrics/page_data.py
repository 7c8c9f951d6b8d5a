"""What the page of errors shows of a document: its text, the marked spans, and its facts, as JSON values.

Only documents with an error are shown. A fact is an object of

    kind    "relation", "entity" or "event"
    state   "missed" (only in the gold), "spurious" (only predicted) or "right"
    label   predicate or type
    why     the kind of mistake, one of `mistakes.MISTAKES`; "" if there is none to tell
    score   the prediction's confidence, or null
    ends    [role, surface, pieces, entity label] of each span; pieces are [start, end] in characters

and a mark is [start, end, state, labels]: a span that the gold, the prediction or both hold.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from kexue.extraction.document import Document, Event, Relation, Span
from kexue.extraction.metrics.matching import (
    STRICT,
    event_key,
    listed_entities,
    pieces,
    relation_key,
    relation_keys,
    unplaced_facts,
)
from kexue.extraction.metrics.mistakes import find_mistakes

_ROLES = {"entity": ("",), "relation": ("subject", "object")}


def documents_with_errors(gold: Sequence[Document], predicted: Sequence[Document]) -> list[dict[str, Any]]:
    """One object per paired document that has a missed or a spurious fact, in their order."""
    shown = (_document(number, *pair) for number, pair in enumerate(zip(gold, predicted, strict=True), 1))
    return [record for record in shown if any(fact["state"] != "right" for fact in record["facts"])]


def _document(number: int, gold: Document, predicted: Document) -> dict[str, Any]:
    return {
        "number": number,
        "id": gold.id,
        "text": gold.text,
        "marks": _marks(gold, predicted),
        "facts": [*_relations(gold, predicted), *_entities(gold, predicted), *_events(gold, predicted)],
    }


def _relations(gold: Document, predicted: Document) -> Iterable[dict[str, Any]]:
    for mistake in find_mistakes(gold, predicted):
        yield _relation(mistake.relation, gold.text, mistake.state, mistake.kind)
    yield from _unplaced(gold, "relation", "missed")
    yield from _unplaced(predicted, "relation", "spurious")
    wanted = relation_keys(gold, STRICT)
    found = {relation_key(relation, gold.text, STRICT): relation for relation in predicted.relations}
    for key, relation in found.items():
        if key in wanted:
            yield _relation(relation, gold.text, "right", "")


def _entities(gold: Document, predicted: Document) -> Iterable[dict[str, Any]]:
    wanted, found = set(listed_entities(gold)), set(listed_entities(predicted))
    for state, wrong, others in (("missed", wanted - found, found), ("spurious", found - wanted, wanted)):
        places = {pieces(other) for other in others}
        for span in sorted(wrong):
            why = "wrong entity type" if pieces(span) in places else _boundaries(span, others)
            yield _fact("entity", state, span.label, why, span.score, [("", span)], gold.text)
    yield from _unplaced(gold, "entity", "missed")
    yield from _unplaced(predicted, "entity", "spurious")


def _boundaries(span: Span, others: Iterable[Span]) -> str:
    near = any(other.label == span.label and span.start < other.end and other.start < span.end for other in others)
    return "wrong boundaries" if near else "nothing near"


def _events(gold: Document, predicted: Document) -> Iterable[dict[str, Any]]:
    wanted = {event_key(event): event for event in gold.events}
    found = {event_key(event): event for event in predicted.events}
    for key, event in wanted.items():
        if key not in found:
            yield _event(event, gold.text, "missed")
    for key, event in found.items():
        yield _event(event, gold.text, "right" if key in wanted else "spurious")
    yield from _unplaced(gold, "event", "missed")
    yield from _unplaced(predicted, "event", "spurious")


def _relation(relation: Relation, text: str, state: str, why: str) -> dict[str, Any]:
    ends = [("subject", relation.subject), ("object", relation.object)]
    return _fact("relation", state, relation.predicate, why, relation.score, ends, text)


def _event(event: Event, text: str, state: str) -> dict[str, Any]:
    ends = [(argument.role, argument.span) for argument in event.arguments]
    return _fact("event", state, event.type, "", event.score, ends, text)


def _fact(
    kind: str,
    state: str,
    label: str,
    why: str,
    score: float | None,
    ends: Iterable[tuple[str, Span]],
    text: str,
) -> dict[str, Any]:
    shown = [[role, span.surface(text), pieces(span), span.label] for role, span in ends]
    return {
        "kind": kind,
        "state": state,
        "label": label,
        "why": why,
        "score": None if score is None else round(score, 4),
        "ends": shown,
    }


def _unplaced(document: Document, kind: str, state: str) -> Iterable[dict[str, Any]]:
    for label, strings in sorted(unplaced_facts(document, kind)):
        roles = _ROLES.get(kind, ("",) * len(strings))
        ends = [[role, string, [], ""] for role, string in zip(roles, strings, strict=False)]
        yield _fact(kind, state, label, "not placed", None, (), document.text) | {"ends": ends}


def _marks(gold: Document, predicted: Document) -> list[list[Any]]:
    wanted, found = _labels_by_place(gold), _labels_by_place(predicted)
    marks = []
    for place in sorted(wanted.keys() | found.keys()):
        state = "right" if place in wanted and place in found else "missed" if place in wanted else "spurious"
        marks.append([*place, state, ", ".join(sorted(wanted.get(place, set()) | found.get(place, set())))])
    return marks


def _labels_by_place(document: Document) -> dict[tuple[int, int], set[str]]:
    labels: defaultdict[tuple[int, int], set[str]] = defaultdict(set)
    ends = (span for relation in document.relations for span in (relation.subject, relation.object))
    arguments = (argument.span for event in document.events for argument in event.arguments)
    for span in (*document.entities, *ends, *arguments):
        for place in pieces(span):
            labels[place] |= {span.label} - {""}
    return labels
