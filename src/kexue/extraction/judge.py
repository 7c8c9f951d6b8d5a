"""Which candidates are right: the bridge from decoding to model selection, calibration and thresholds.

A span is right if the gold has it with the same characters and label, a triple if all of it is the same. Gold that
could not be placed in the text stays in the gold count.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from kexue.extraction.decision import Calibration, Decision, Judged
from kexue.extraction.document import Document, Span
from kexue.extraction.inference import Found
from kexue.extraction.links import SpanLabels, close_relations
from kexue.extraction.metrics.calibration_error import expected_calibration_error


@dataclass(frozen=True)
class Judgement:
    """Judged candidates of both kinds."""

    entities: Judged
    relations: Judged

    def f1(self) -> dict[str, float]:
        """Micro precision, recall and F1 of the article's rule: every score above 0."""
        return {
            f"{kind}_{name}": value
            for kind, judged in (("relations", self.relations), ("entities", self.entities))
            for name, value in _prf(judged).items()
        }


def judge(documents: Sequence[Document], found: Iterable[Found], labels: SpanLabels) -> Judgement:
    """Compare the candidates of each document with its gold."""
    schema = labels.schema
    entity_rows: list[tuple[np.ndarray, np.ndarray, list[bool]]] = []
    relation_rows: list[tuple[np.ndarray, np.ndarray, list[bool]]] = []
    entity_gold = np.zeros(len(labels.names), dtype=np.int64)
    relation_gold = np.zeros(len(schema.predicates), dtype=np.int64)
    predicate_of = {name: index for index, name in enumerate(schema.predicates)}
    for item in found:
        document = documents[item.index]
        gold_relations = {
            (_key(fact.subject), fact.predicate, _key(fact.object))
            for fact in close_relations(document.relations, schema)
        }
        gold_spans = _gold_spans(document, labels, gold_relations)
        for _, _, label in gold_spans:
            entity_gold[label] += 1
        for _, predicate, _ in gold_relations:
            relation_gold[predicate_of[predicate]] += 1
        for unaligned in document.unaligned:
            if unaligned.kind == "relation" and unaligned.label in predicate_of:
                relation_gold[predicate_of[unaligned.label]] += 1
        keys = [
            (item.tokens.starts[start], item.tokens.ends[end], label)
            for label, start, end in item.candidates.spans.tolist()
        ]
        entity_rows.append(
            (
                item.candidates.span_scores.numpy()[:, None],
                item.candidates.spans[:, 0].numpy(),
                [key in gold_spans for key in keys],
            )
        )
        shown = [(start, end, labels.entity_label(label)) for start, end, label in keys]
        relation_rows.append(
            (
                item.candidates.triple_scores.numpy(),
                item.candidates.triples[:, 1].numpy(),
                [
                    (shown[subject], schema.predicates[predicate], shown[object_]) in gold_relations
                    for subject, predicate, object_ in item.candidates.triples.tolist()
                ],
            )
        )
    return Judgement(_judged(entity_rows, entity_gold, 1), _judged(relation_rows, relation_gold, 4))


def calibration_errors(judgement: Judgement, decision: Decision) -> dict[str, dict[str, float]]:
    """Expected calibration error before (sigmoid(2 x weakest score)) and after the calibration was fitted."""
    return {
        kind: {
            when: expected_calibration_error(calibration(judged.scores), judged.correct)
            for when, calibration in (("before", Calibration()), ("after", fitted))
        }
        for kind, judged, fitted in (
            ("entities", judgement.entities, decision.entity),
            ("relations", judgement.relations, decision.relation),
        )
        if len(judged.scores)
    }


def _gold_spans(
    document: Document, labels: SpanLabels, relations: set[tuple[tuple[int, int, str], str, tuple[int, int, str]]]
) -> set[tuple[int, int, int]]:
    """(start, end, number of the label): typed entities, or the ends of relations in their roles."""
    if labels.schema.typed:
        number = {name: index for index, name in enumerate(labels.names)}
        spans = {_key(span) for span in document.entities}
        spans |= {end for subject, _, object_ in relations for end in (subject, object_)}
        return {(start, end, number[label]) for start, end, label in spans}
    return {
        (start, end, role)
        for subject, _, object_ in relations
        for role, (start, end, _) in enumerate((subject, object_))
    }


def _key(span: Span) -> tuple[int, int, str]:
    return span.start, span.end, span.label


def _judged(rows: list[tuple[np.ndarray, np.ndarray, list[bool]]], gold: np.ndarray, terms: int) -> Judged:
    return Judged(
        scores=np.concatenate([np.zeros((0, terms)), *(scores for scores, _, _ in rows)]).astype(np.float64),
        label=np.concatenate([np.zeros(0, dtype=np.int64), *(label for _, label, _ in rows)]),
        correct=np.array([right for _, _, flags in rows for right in flags], dtype=bool),
        gold=gold,
    )


def _prf(judged: Judged) -> dict[str, float]:
    accepted = judged.scores.min(1, initial=np.inf) > 0 if len(judged.scores) else np.zeros(0, dtype=bool)
    right, found, gold = int((accepted & judged.correct).sum()), int(accepted.sum()), int(judged.gold.sum())
    return {
        "precision": right / found if found else 0.0,
        "recall": right / gold if gold else 0.0,
        "f1": 2 * right / (found + gold) if found + gold else 0.0,
    }
