"""Candidates against gold: what is right, what is counted, what is passed over."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from kexue.encoders.tokenization import Tokens
from kexue.extraction.decision import Confidence, Decision
from kexue.extraction.decoding import Candidates
from kexue.extraction.document import Document, Relation, Span, Unaligned
from kexue.extraction.inference import Found
from kexue.extraction.judge import calibration_errors, judge
from kexue.extraction.links import SpanLabels
from kexue.extraction.schema import RelationType, Schema

TEXT = "a b c d"  # one token for each letter
TOKENS = Tokens([1, 2, 3, 4], [0, 2, 4, 6], [1, 3, 5, 7])
TYPED = SpanLabels(Schema(("x", "y"), (RelationType("p"), RelationType("q"))))
ROLES = SpanLabels(Schema((), (RelationType("p"), RelationType("q"))))


def span(letter: int, label: str = "") -> Span:
    return Span(2 * letter, 2 * letter + 1, label)


def found(
    spans: list[tuple[int, int, int]], triples: list[tuple[int, int, int]], scores: list[float] | None = None
) -> Found:
    scores = scores or [1.0] * len(triples)
    return Found(
        0,
        TOKENS,
        Candidates(
            torch.tensor(spans).reshape(-1, 3),
            torch.ones(len(spans)),
            torch.tensor(triples).reshape(-1, 3),
            torch.tensor(scores)[:, None].expand(-1, 4),
        ),
    )


def test_a_triple_is_right_if_all_of_it_is_the_same():
    gold = Document(TEXT, [span(0, "x"), span(1, "y")], [Relation(span(0, "x"), "p", span(1, "y"))])
    spans = [(0, 0, 0), (1, 1, 1), (1, 0, 0), (0, 0, 1)]
    judgement = judge([gold], [found(spans, [(0, 0, 1), (0, 1, 1), (2, 0, 1), (1, 0, 0)])], TYPED)
    assert judgement.entities.correct.tolist() == [True, True, False, False]
    assert judgement.entities.gold.tolist() == [1, 1]
    assert judgement.relations.correct.tolist() == [True, False, False, False]
    assert judgement.relations.label.tolist() == [0, 1, 0, 0]
    assert judgement.relations.gold.tolist() == [1, 0]
    assert judgement.f1() == {
        "relations_precision": 0.25,
        "relations_recall": 1.0,
        "relations_f1": 0.4,
        "entities_precision": 0.5,
        "entities_recall": 1.0,
        "entities_f1": pytest.approx(2 / 3),
    }


@pytest.mark.parametrize("label", ["", "x"])
def test_without_types_spans_are_known_by_their_roles_and_types_of_the_gold_do_not_matter(label: str):
    gold = Document(TEXT, [span(3, label)], [Relation(span(0, label), "p", span(1, label))])
    judgement = judge([gold], [found([(0, 0, 0), (1, 1, 1), (1, 0, 0)], [(0, 0, 1)])], ROLES)
    assert judgement.entities.correct.tolist() == [True, True, False]
    assert judgement.entities.gold.tolist() == [1, 1]
    assert judgement.relations.correct.tolist() == [True]


def test_scores_at_or_below_zero_are_candidates_but_not_found():
    gold = Document(TEXT, [], [Relation(span(0), "p", span(1)), Relation(span(0), "q", span(1))])
    judgement = judge([gold], [found([(0, 0, 0), (1, 1, 1)], [(0, 0, 1), (0, 1, 1)], [0.5, -0.5])], ROLES)
    assert judgement.relations.correct.tolist() == [True, True]
    assert judgement.f1()["relations_recall"] == 0.5 and judgement.f1()["relations_precision"] == 1.0


def test_gold_that_could_not_be_placed_stays_in_the_count():
    gold = Document(
        TEXT,
        unaligned=[
            Unaligned("relation", "p", ("e", "f"), "not in the text"),
            Unaligned("relation", "new", ("e", "f"), "not in the text"),
            Unaligned("entity", "x", ("e",), "not in the text"),
            Unaligned("event", "x", ("e",), "not in the text"),
        ],
    )
    judgement = judge([gold], [found([], [])], TYPED)
    assert judgement.relations.gold.tolist() == [1, 0] and judgement.entities.gold.tolist() == [1, 0]


def test_labels_that_the_model_does_not_know_are_passed_over():
    gold = Document(TEXT, [span(0, "new"), span(1, "x")], [Relation(span(0, "new"), "new", span(1, "x"))])
    judgement = judge([gold], [found([(0, 1, 1)], [])], TYPED)
    assert judgement.entities.gold.tolist() == [1, 0] and judgement.relations.gold.tolist() == [0, 0]
    assert judgement.entities.correct.tolist() == [True]


def test_a_fact_given_twice_counts_once_and_what_follows_from_it_counts_too():
    labels = SpanLabels(Schema((), (RelationType("p", symmetric=True),)))
    fact = Relation(span(0), "p", span(1))
    assert judge([Document(TEXT, [], [fact, fact])], [found([], [])], labels).relations.gold.tolist() == [2]


def test_nothing_found_in_nothing_scores_zero():
    judgement = judge([], [], TYPED)
    assert set(judgement.f1().values()) == {0.0}
    assert judgement.relations.scores.shape == (0, 4) and judgement.entities.scores.shape == (0, 1)
    assert calibration_errors(judgement, Decision()) == {}


def test_the_calibration_error_is_told_before_and_after():
    gold = Document(TEXT, [], [Relation(span(0), "p", span(1))])
    spans, triples = [(0, 0, 0), (1, 1, 1), (1, 2, 2)], [(0, 0, 1), (0, 0, 2)]
    judgement = judge([gold], [found(spans, triples, [0.0, 0.0])], ROLES)
    errors = calibration_errors(judgement, Decision(relation=Confidence(0.0, 0.0, np.log(3.0))))
    assert errors["relations"]["before"] == pytest.approx(0.0, abs=1e-9)  # says 0.5, half are right
    assert errors["relations"]["after"] == pytest.approx(0.25, abs=1e-9)  # says 0.75
