"""Candidates to documents: characters, thresholds, constraints."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kexue.encoders.tokenization import Tokens
from kexue.extraction.assembly import assemble, constrain
from kexue.extraction.decision import Decision
from kexue.extraction.decoding import Candidates
from kexue.extraction.document import Document, Relation, Span
from kexue.extraction.links import SpanLabels, close_relations
from kexue.extraction.schema import RelationType, Schema

TEXT = "Curie of Warsaw"
TOKENS = Tokens([1, 2, 3], [0, 6, 9], [5, 8, 15])
TYPED = Schema(("person", "place"), (RelationType("born in", ("person",), ("place",)),))


def candidates(spans: list, span_scores: list, triples: list, triple_scores: list, cut: str = "") -> Candidates:
    return Candidates(
        torch.tensor(spans, dtype=torch.long).reshape(-1, 3),
        torch.tensor(span_scores, dtype=torch.float32),
        torch.tensor(triples, dtype=torch.long).reshape(-1, 3),
        torch.tensor(triple_scores, dtype=torch.float32).reshape(-1, 4),
        cut,
    )


ONE_FACT = candidates([[0, 0, 0], [1, 2, 2]], [3.0, 2.0], [[0, 0, 1]], [[3.0, 2.0, 1.0, 4.0]])


def test_a_fact_is_reported_in_characters_with_its_confidences():
    document = assemble(TEXT, TOKENS, ONE_FACT, SpanLabels(TYPED), Decision())
    (fact,) = document.relations
    assert (fact.subject.surface(TEXT), fact.predicate, fact.object.surface(TEXT)) == ("Curie", "born in", "Warsaw")
    assert fact.score == pytest.approx(torch.tensor(2.0).sigmoid().item())
    assert [(span.label, span.surface(TEXT)) for span in document.entities] == [
        ("person", "Curie"),
        ("place", "Warsaw"),
    ]
    assert document.entities[0].score == pytest.approx(torch.tensor(6.0).sigmoid().item())


def test_a_relation_below_the_threshold_of_its_type_is_not_reported():
    assert assemble(TEXT, TOKENS, ONE_FACT, SpanLabels(TYPED), Decision(thresholds={"born in": 0.95})).relations == []
    assert assemble(TEXT, TOKENS, ONE_FACT, SpanLabels(TYPED), Decision(thresholds={"born in": 0.8})).relations


def test_the_ends_of_a_reported_relation_are_entities_even_below_the_threshold_of_entities():
    document = assemble(TEXT, TOKENS, ONE_FACT, SpanLabels(TYPED), Decision(entity_threshold=0.999))
    assert len(document.entities) == 2


def test_roles_are_not_shown_as_labels_and_a_span_in_both_roles_is_one_entity():
    labels = SpanLabels(Schema((), (RelationType("of"),)))
    found = candidates([[0, 0, 0], [1, 0, 0]], [1.0, 3.0], [], [])
    (entity,) = assemble(TEXT, TOKENS, found, labels, Decision()).entities
    assert entity.label == ""
    assert entity.score == pytest.approx(torch.tensor(6.0).sigmoid().item())


def test_a_cut_is_said_in_the_document():
    found = candidates([], [], [], [], cut="spans")
    assert assemble(TEXT, TOKENS, found, SpanLabels(TYPED), Decision()).meta == {"cut": "spans"}
    assert assemble(TEXT, TOKENS, candidates([], [], [], []), SpanLabels(TYPED), Decision()).meta == {}


A, B, C, D = Span(0, 1), Span(2, 3), Span(4, 5), Span(6, 7)
FAMILY = Schema(
    (),
    (
        RelationType("spouse", symmetric=True),
        RelationType("capital", functional=True, inverse="capital of"),
        RelationType("capital of"),
        RelationType("knows"),
    ),
)


def triples(relations: list[Relation]) -> dict[tuple, float | None]:
    return {(fact.subject, fact.predicate, fact.object): fact.score for fact in relations}


def test_a_symmetric_relation_holds_both_ways_with_the_better_confidence():
    found = constrain([Relation(A, "spouse", B, 0.6), Relation(B, "spouse", A, 0.9)], FAMILY)
    assert triples(found) == {(A, "spouse", B): 0.9, (B, "spouse", A): 0.9}


def test_a_functional_relation_keeps_its_most_confident_object_and_the_inverse_agrees():
    found = constrain([Relation(A, "capital", B, 0.6), Relation(C, "capital of", A, 0.9)], FAMILY)
    assert triples(found) == {(A, "capital", C): 0.9, (C, "capital of", A): 0.9}


FACTS = st.lists(
    st.builds(
        Relation,
        st.sampled_from([A, B, C]),
        st.sampled_from(["spouse", "capital", "capital of", "knows"]),
        st.sampled_from([A, B, C]),
        st.floats(0, 1),
    ),
    max_size=12,
)


@given(FACTS)
def test_constraining_gives_a_closed_functional_set_and_is_idempotent(facts):
    found = constrain(facts, FAMILY)
    keys = triples(found)
    for fact in found:
        implied = FAMILY.implied(fact)
        assert implied is None or (implied.subject, implied.predicate, implied.object) in keys
    capitals = [fact.subject for fact in found if fact.predicate == "capital"]
    assert len(capitals) == len(set(capitals))
    assert {(f.subject, f.predicate, f.object) for f in facts if f.predicate == "knows"} <= keys.keys()
    assert triples(constrain(found, FAMILY)) == keys


MONOGAMY = Schema(
    (),
    (
        RelationType("spouse", symmetric=True, functional=True),
        RelationType("capital", functional=True, inverse="capital of"),
        RelationType("capital of", functional=True),
    ),
)


def test_a_relation_loses_only_to_one_that_is_itself_kept():
    chain = [Relation(A, "spouse", B, 0.7), Relation(B, "spouse", C, 0.8), Relation(C, "spouse", D, 0.9)]
    found = constrain(chain, MONOGAMY)
    assert triples(found) == {
        (A, "spouse", B): 0.7,
        (B, "spouse", A): 0.7,
        (C, "spouse", D): 0.9,
        (D, "spouse", C): 0.9,
    }


@given(
    st.lists(
        st.builds(
            Relation,
            st.sampled_from([A, B, C, D]),
            st.sampled_from(MONOGAMY.predicates),
            st.sampled_from([A, B, C, D]),
            st.floats(0, 1),
        ),
        max_size=10,
    )
)
def test_what_is_left_out_contradicts_a_kept_relation_that_is_at_least_as_sure(facts):
    found = triples(constrain(facts, MONOGAMY))
    assert len({(subject, predicate) for subject, predicate, _ in found}) == len(found)
    for (subject, predicate, object_), score in triples(close_relations(facts, MONOGAMY)).items():
        implied = MONOGAMY.implied(Relation(subject, predicate, object_))
        assert ((subject, predicate, object_) in found) == (
            (implied.subject, implied.predicate, implied.object) in found
        )
        if (subject, predicate, object_) not in found:
            rivals = {(subject, predicate), (implied.subject, implied.predicate)}
            assert max(sure for (s, p, _), sure in found.items() if (s, p) in rivals) >= score


def test_the_inverse_of_a_relation_joins_the_types_that_the_relation_joins():
    schema = Schema(
        ("person", "place"),
        (
            RelationType("born in", ("person",), ("place",), inverse="birthplace of"),
            RelationType("birthplace of", ("place",), ("person",)),
        ),
    )
    narrow = schema.with_constraints({"birthplace of": {"subject_types": ["person"]}})
    for labels in (SpanLabels(schema), SpanLabels(narrow)):
        assert labels.subjects[1].tolist() == labels.objects[0].tolist()
        assert labels.objects[1].tolist() == labels.subjects[0].tolist()


def test_an_empty_text_gives_an_empty_document():
    document = assemble("", Tokens([], [], []), candidates([], [], [], []), SpanLabels(TYPED), Decision())
    assert document == Document("")
