"""Candidates in tokens to a document in characters: confidences, thresholds, constraints."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from kexue.encoders.tokenization import Tokens
from kexue.extraction.decision import Decision
from kexue.extraction.decoding import Candidates
from kexue.extraction.document import Document, Relation, Span
from kexue.extraction.links import SpanLabels, close_relations
from kexue.extraction.schema import Schema


def assemble(text: str, tokens: Tokens, candidates: Candidates, labels: SpanLabels, decision: Decision) -> Document:
    """The entities and relations of a text whose confidence reaches the threshold.

    `meta["cut"]` says so if the budget of the decoder was exhausted.
    """
    confidence = decision.entity(candidates.span_scores.numpy().astype(np.float64)[:, None])
    spans = [
        Span(tokens.starts[start], tokens.ends[end], labels.entity_label(label), float(score))
        for (label, start, end), score in zip(candidates.spans.tolist(), confidence, strict=True)
    ]
    relations = _relations(spans, candidates, labels.schema, decision)
    ends = {span for relation in relations for span in (relation.subject, relation.object)}
    accepted = [span for span in spans if (span.score or 0.0) >= decision.entity_threshold or span in ends]
    best = {span: span for span in sorted(accepted, key=lambda span: span.score or 0.0)}
    meta = {"cut": candidates.cut} if candidates.cut else {}
    return Document(text, sorted(best.values()), sorted(relations, key=_position), meta=meta)


def _relations(spans: list[Span], candidates: Candidates, schema: Schema, decision: Decision) -> list[Relation]:
    confidence = decision.relation(candidates.triple_scores.numpy().astype(np.float64))
    thresholds = np.array([decision.threshold(name) for name in schema.predicates])
    predicate = candidates.triples[:, 1].numpy()
    accepted: Sequence[int] | NDArray[np.int64] = np.flatnonzero(confidence >= thresholds[predicate]) if len(predicate) else []
    relations = [
        Relation(spans[subject], schema.predicates[name], spans[object_], float(confidence[row]))
        for row in accepted
        for subject, name, object_ in [candidates.triples[row].tolist()]
    ]
    return constrain(relations, schema)


def constrain(relations: list[Relation], schema: Schema) -> list[Relation]:
    """Apply the schema: what follows by symmetry or as an inverse is added, rivals of a functional object are removed.

    Whatever implies a removed relation is removed with it, so the result is closed and consistent.
    """
    closed = close_relations(relations, schema)
    rivals = _rivals(closed, schema)
    return [
        relation
        for relation in closed
        if _key(relation) not in rivals and ((other := schema.implied(relation)) is None or _key(other) not in rivals)
    ]


def _rivals(relations: list[Relation], schema: Schema) -> set[tuple[Span, str, Span]]:
    """Relations of functional predicates whose subject has a more confident object."""
    functional = {relation.name for relation in schema.relation_types if relation.functional}
    best: dict[tuple[Span, str], Relation] = {}
    losers: set[tuple[Span, str, Span]] = set()
    for relation in relations:
        if relation.predicate in functional:
            place = (relation.subject, relation.predicate)
            rival = best.get(place)
            if rival is None:
                best[place] = relation
            elif (relation.score or 0.0) > (rival.score or 0.0):
                losers.add(_key(rival))
                best[place] = relation
            else:
                losers.add(_key(relation))
    return losers


def _key(relation: Relation) -> tuple[Span, str, Span]:
    return relation.subject, relation.predicate, relation.object


def _position(relation: Relation) -> tuple[int, int, int, int, str]:
    return (
        relation.subject.start,
        relation.subject.end,
        relation.object.start,
        relation.object.end,
        relation.predicate,
    )
