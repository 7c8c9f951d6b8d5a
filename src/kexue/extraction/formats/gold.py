"""From what a record states to a `Document`: each fact once, its repetitions counted.

`meta["duplicate_relations"]` says how many statements of a fact already stated were left over, because some
published scores count them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from kexue.extraction.document import Document, Relation, Span
from kexue.extraction.occurrence import StringTriple, place_triples


def from_spans(
    text: str,
    entities: Sequence[Span],
    relations: Sequence[Relation],
    id: str | None = None,
    meta: Mapping[str, Any] | None = None,
) -> Document:
    """A document whose gold has exact places."""
    unique = list(dict.fromkeys(relations))
    repeated = len(relations) - len(unique)
    return Document(text, list(dict.fromkeys(entities)), unique, id=id, meta=_meta(meta, repeated))


def from_strings(
    text: str,
    triples: Sequence[StringTriple],
    relations: Sequence[Relation] = (),
    id: str | None = None,
    meta: Mapping[str, Any] | None = None,
    mentions: Iterable[str] = (),
) -> Document:
    """A document whose gold is strings: the occurrence rule places it, what it cannot place is `unaligned`.

    `relations` are those that have exact places already, `mentions` further surfaces for `place_triples`.
    Typed ends become entities; a source without types annotates no entities.
    """
    placed, unaligned = place_triples(text, list(dict.fromkeys(triples)), mentions)
    unique = list(dict.fromkeys([*relations, *placed]))
    repeated = len(relations) + len(triples) - len(unique) - len(unaligned)
    ends = dict.fromkeys([end for relation in unique for end in (relation.subject, relation.object) if end.label])
    return Document(text, list(ends), unique, id=id, meta=_meta(meta, repeated), unaligned=unaligned)


def with_labels(entities: Iterable[Span], relations: Iterable[Relation]) -> list[Relation]:
    """Relations whose ends carry the label of the entity at the same place (the first one listed there)."""
    known: dict[tuple[int, int], Span] = {}
    for entity in entities:
        known.setdefault((entity.start, entity.end), entity)

    def labelled(span: Span) -> Span:
        return known.get((span.start, span.end), span)

    return [
        Relation(labelled(relation.subject), relation.predicate, labelled(relation.object)) for relation in relations
    ]


def _meta(meta: Mapping[str, Any] | None, repeated: int) -> dict[str, Any]:
    return dict(meta or {}) | ({"duplicate_relations": repeated} if repeated else {})
