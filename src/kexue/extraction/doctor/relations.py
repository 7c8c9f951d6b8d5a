"""Checks of relations: their ends, which occurrence is meant, and what GPLinker can decode."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from kexue.extraction.doctor.case import Case, Hit
from kexue.extraction.document import Relation, Span


def ambiguous(case: Case) -> Iterator[Hit]:
    """Relations with an end whose string occurs several times in the text."""
    text = case.document.text
    counts: dict[str, int] = {}
    for relation in case.document.relations:
        for span in (relation.subject, relation.object):
            surface = text[span.start : span.end]
            if surface not in counts:
                counts[surface] = text.count(surface) if surface else 0
            if counts[surface] > 1:
                yield Hit((relation.subject, relation.object), f"{surface!r} {counts[surface]} times")
                break


def absent_ends(case: Case) -> Iterator[Hit]:
    """Relations with an end that is not among the entities; texts without any entities are left out."""
    entities = set(case.document.entities)
    if not entities:
        return
    for relation in case.document.relations:
        absent = tuple(end for end in (relation.subject, relation.object) if end not in entities)
        if absent:
            yield Hit(absent, f"end of {relation.predicate}")


def self_related(case: Case) -> Iterator[Hit]:
    """Relations of a piece of text to itself."""
    for relation in case.document.relations:
        subject, object = relation.subject, relation.object
        if (subject.start, subject.end) == (object.start, object.end):
            yield Hit((subject,), relation.predicate)


def added_by_decoding(case: Case) -> Iterator[Hit]:
    """Triples that GPLinker decodes from perfect scores though they are not gold (docs/extraction.md, the nested case).

    It stores per predicate the pairs of starts and of ends, so that subjects sharing a start and objects
    sharing an end can be combined anew.
    """
    relations = case.document.relations
    if len(relations) < 2:
        return
    for predicate, links in _by_predicate(relations).items():
        gold = {(_ends(relation.subject), _ends(relation.object)) for relation in links}
        for subject, object in sorted(_decoded(relations, links) - gold):
            yield Hit((Span(*subject), Span(*object)), f"would also give {predicate}")


def _by_predicate(relations: Sequence[Relation]) -> dict[str, list[Relation]]:
    grouped: dict[str, list[Relation]] = defaultdict(list)
    for relation in relations:
        grouped[relation.predicate].append(relation)
    return grouped


Ends = tuple[int, int]


def _decoded(relations: Sequence[Relation], links: Sequence[Relation]) -> set[tuple[Ends, Ends]]:
    """All (subject, object) whose starts and whose ends are linked: the four conditions of GPLinker."""
    subjects, objects = defaultdict(set), defaultdict(set)
    for relation in relations:
        subjects[relation.subject.start].add(relation.subject.end)
        objects[relation.object.start].add(relation.object.end)
    starts = {(link.subject.start, link.object.start) for link in links}
    ends = {(link.subject.end, link.object.end) for link in links}
    return {
        ((first, last), (start, end))
        for first, start in starts
        for last in subjects[first]
        for end in objects[start]
        if (last, end) in ends
    }


def _ends(span: Span) -> Ends:
    return span.start, span.end
