"""Labels and constraints: what is seen in documents, what is declared, what contradicts."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kexue.errors import SchemaError
from kexue.extraction.document import Document, Relation, Span, Unaligned
from kexue.extraction.schema import RelationType, Schema

DRUG, EFFECT, DOSE = Span(0, 1, "drug"), Span(2, 3, "effect"), Span(4, 5, "dose")
SCHEMA = Schema(
    ("drug", "effect"),
    (
        RelationType("causes", ("drug",), ("effect",), inverse="caused by"),
        RelationType("caused by"),
        RelationType("like"),
    ),
)


def test_labels_are_those_of_spans_of_ends_and_of_what_could_not_be_placed():
    documents = [
        Document("a b c", [DOSE], [Relation(DRUG, "causes", EFFECT), Relation(DRUG, "causes", DRUG)]),
        Document("a b c", unaligned=[Unaligned("relation", "treats", ("x", "y"), "why")]),
    ]
    schema = Schema.from_documents(documents)
    assert schema.entity_types == ("dose", "drug", "effect") and schema.predicates == ("causes", "treats")
    assert schema.relation_types[0].subject_types == ("drug",)
    assert schema.relation_types[0].object_types == ("drug", "effect")
    assert Schema.from_documents(documents[::-1]) == schema


def test_without_types_there_are_no_entity_types():
    schema = Schema.from_documents([Document("a b", [Span(0, 1)], [Relation(Span(0, 1), "p", Span(2, 3))])])
    assert not schema.typed and schema.entity_types == () == schema.relation_types[0].subject_types


def test_a_schema_comes_back_from_its_json():
    assert Schema.from_json(json.loads(json.dumps(SCHEMA.to_json()))) == SCHEMA


def test_an_inverse_holds_in_both_directions_and_symmetry_turns_round():
    fact = Relation(DRUG, "causes", EFFECT, 0.5)
    back = SCHEMA.implied(fact)
    assert back == Relation(EFFECT, "caused by", DRUG) and back.score == 0.5
    assert SCHEMA.implied(back) == fact
    assert SCHEMA.implied(Relation(DRUG, "like", DRUG)) is None
    symmetric = SCHEMA.with_constraints({"like": {"symmetric": True}})
    assert symmetric.implied(Relation(DRUG, "like", EFFECT)) == Relation(EFFECT, "like", DRUG)
    assert SCHEMA.implied(Relation(DRUG, "unknown", DRUG)) is None


def test_constraints_are_added_to_a_new_schema():
    changed = SCHEMA.with_constraints({"causes": {"functional": True, "object_types": ["drug"]}})
    assert changed.relation_types[0] == RelationType("causes", ("drug",), ("drug",), True, inverse="caused by")
    assert not SCHEMA.relation_types[0].functional and changed.predicates == SCHEMA.predicates


@pytest.mark.parametrize(
    ("constraints", "said"),
    [
        ({"cuases": {}}, "unknown relation type 'cuases'. Did you mean 'causes'?"),
        ({"causes": {"functionl": True}}, "unknown constraint 'functionl'. Did you mean 'functional'?"),
        ({"causes": {"subject_types": ["drugs"]}}, "unknown entity type 'drugs'. Did you mean 'drug'?"),
        ({"causes": {"inverse": "causedby"}}, "unknown relation type 'causedby'. Did you mean 'caused by'?"),
    ],
)
def test_a_misspelt_constraint_gives_the_right_one(constraints: dict[str, Any], said: str):
    with pytest.raises(SchemaError) as error:
        SCHEMA.with_constraints(constraints)
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("entity_types", "relations"), [(("a", "a"), ()), ((), (RelationType("p"), RelationType("p")))]
)
def test_a_label_declared_twice_is_refused(entity_types: tuple[str, ...], relations: tuple[RelationType, ...]):
    with pytest.raises(SchemaError, match="is declared twice"):
        Schema(entity_types, relations)


@pytest.mark.parametrize(
    "constraints",
    [
        {"like": {"inverse": "causes"}},
        {"causes": {"symmetric": True}},
        {"caused by": {"symmetric": True}},
        {"caused by": {"inverse": "like"}},
    ],
)
def test_a_relation_with_two_inverses_is_refused(constraints: dict[str, Any]):
    with pytest.raises(SchemaError, match=r"has two inverses, .* and "):
        SCHEMA.with_constraints(constraints)


def test_a_relation_that_is_its_own_inverse_is_symmetric():
    schema = SCHEMA.with_constraints({"like": {"inverse": "like", "symmetric": True}})
    assert schema.implied(Relation(DRUG, "like", EFFECT)) == Relation(EFFECT, "like", DRUG)


def test_a_relation_may_join_what_its_inverse_joins_the_other_way_round():
    schema = Schema(
        ("city", "country", "region"),
        (
            RelationType("capital of", ("city",), ("country",), inverse="capital"),
            RelationType("capital", ("region",), ("city",)),
            RelationType("borders", ("country",), ("region",), symmetric=True),
            RelationType("in", ("city",), ("region",)),
            RelationType("near", ("city",), (), symmetric=True),
        ),
    )
    assert [schema.end_types(relation) for relation in schema.relation_types] == [
        (("city",), ("country", "region")),
        (("region", "country"), ("city",)),
        (("country", "region"), ("region", "country")),
        (("city",), ("region",)),
        ((), ()),
    ]
