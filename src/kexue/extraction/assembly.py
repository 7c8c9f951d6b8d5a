"""Candidates in tokens to a document in characters: confidences, thresholds, constraints."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

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
    accepted = np.flatnonzero(confidence >= thresholds[candidates.triples[:, 1].numpy()])
    relations = [
        Relation(spans[subject], schema.predicates[name], spans[object_], float(score))
        for (subject, name, object_), score in zip(
            candidates.triples[accepted].tolist(), confidence[accepted], strict=True
        )
    ]
    return constrain(relations, schema)


def constrain(relations: Iterable[Relation], schema: Schema) -> list[Relation]:
    """Apply the schema: what follows by symmetry or as an inverse is added, rivals of a functional object are left out.

    The most confident go first, each with what follows from it, and one that contradicts them is left out with
    what follows from it. So the result is closed and consistent, and nothing is left out for the sake of a
    relation that is itself not in it.
    """
    functional = {relation.name for relation in schema.relation_types if relation.functional}
    objects: dict[tuple[Span, str], Span] = {}
    kept = []
    for relation in sorted(close_relations(relations, schema), key=_confidence, reverse=True):
        facts = [fact for fact in (relation, schema.implied(relation)) if fact is not None]
        only = {(fact.subject, fact.predicate): fact.object for fact in facts if fact.predicate in functional}
        if all(objects.get(place, object_) == object_ for place, object_ in only.items()):
            objects |= only
            kept.append(relation)
    return kept


def _confidence(relation: Relation) -> float:
    return relation.score or 0.0


def _position(relation: Relation) -> tuple[int, int, int, int, str]:
    return (
        relation.subject.start,
        relation.subject.end,
        relation.object.start,
        relation.object.end,
        relation.predicate,
    )
