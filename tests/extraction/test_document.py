"""Documents as JSON and back, and what is said of a record that is wrong."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kexue.errors import DataError
from kexue.extraction.document import Argument, Document, Event, Relation, Span, Unaligned

texts = st.text(min_size=1, max_size=30)
scores = st.none() | st.integers(0, 10000).map(lambda number: number / 10000)
labels = st.sampled_from(["", "drug", "药物"])
names = st.sampled_from(["causes", "导致"])


@st.composite
def documents(draw: st.DrawFn) -> Document:
    text = draw(texts)

    def span() -> Span:
        start = draw(st.integers(0, len(text) - 1))
        end = draw(st.integers(start + 1, len(text)))
        middle = (start + end) // 2
        split = middle > start and draw(st.booleans())
        return Span(start, end, draw(labels), draw(scores), ((start, middle), (middle, end)) if split else ())

    def several(make: Any) -> list[Any]:
        return [make() for _ in range(draw(st.integers(0, 3)))]

    return Document(
        text,
        several(span),
        several(lambda: Relation(span(), draw(names), span(), draw(scores))),
        several(lambda: Event(draw(names), tuple(several(lambda: Argument(draw(names), span()))), draw(scores))),
        draw(st.none() | st.text()),
        draw(st.dictionaries(st.text(), st.integers() | st.text())),
        several(lambda: Unaligned("relation", draw(names), (draw(texts), draw(texts)), "why")),
    )


def same_scores(left: Document, right: Document) -> bool:
    return repr(left) == repr(right)  # scores take no part in ==


@given(documents())
def test_a_document_comes_back_from_its_json(document: Document):
    again = Document.from_json(json.loads(json.dumps(document.to_json())))
    assert again == document and same_scores(again, document)


@given(documents())
def test_surfaces_are_written_beside_the_offsets(document: Document):
    for record, span in zip(document.to_json()["entities"], document.entities, strict=True):
        assert record["text"] == span.surface(document.text)
        if not span.fragments:
            assert record["text"] == document.text[record["start"] : record["end"]]


def test_what_is_null_is_as_if_left_out():
    nulls = {
        "text": "ab",
        "entities": None,
        "relations": None,
        "events": None,
        "unaligned": None,
        "meta": None,
        "id": None,
    }
    assert Document.from_json(nulls) == Document("ab")
    span = {"start": 0, "end": 1, "label": None, "score": None, "text": None, "fragments": None}
    assert Document.from_json({"text": "ab", "entities": [span]}) == Document("ab", [Span(0, 1)])


def test_keys_of_a_users_own_may_stand_beside_the_facts():
    span = {"start": 0, "end": 1, "label": "x", "id": "T1", "type": "y"}
    relation = {"subject": span, "predicate": "p", "object": span | {"label": None}, "id": "R1"}
    event = {"type": "t", "arguments": [{"start": 0, "end": 1, "role": "r", "id": "T1"}], "id": "E1", "notes": []}
    document = Document.from_json({"text": "ab", "entities": [span], "relations": [relation], "events": [event]})
    assert document.entities == [Span(0, 1, "x")]
    assert document.relations == [Relation(Span(0, 1, "x"), "p", Span(0, 1))]
    assert document.events == [Event("t", (Argument("r", Span(0, 1)),))]


def test_a_score_takes_no_part_in_equality():
    assert Span(0, 1, "x", 0.5) == Span(0, 1, "x", 0.7) and hash(Span(0, 1, "x", 0.5)) == hash(Span(0, 1, "x"))
    assert Relation(Span(0, 1), "p", Span(1, 2), 0.1) == Relation(Span(0, 1), "p", Span(1, 2))


TEXT = "Aspirin caused a rash."
END = {"start": 0, "end": 7}


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ({}, "'text' must be a string, got NoneType"),
        ({"text": None}, "'text' must be a string, got NoneType"),
        ({"text": TEXT, "entities": {}}, "'entities' must be a list, got dict"),
        ({"text": TEXT, "entities": ["Aspirin"]}, "entity must be an object, got str"),
        ({"text": TEXT, "entities": [{"start": 0}]}, "entity lacks 'end'"),
        ({"text": TEXT, "entities": [{"start": 0, "end": 99}]}, "is not a span of its text of 22 characters"),
        ({"text": TEXT, "entities": [{"start": -1, "end": 3}]}, "is not a span"),
        ({"text": TEXT, "entities": [{"start": 3, "end": 3}]}, "is not a span"),
        ({"text": TEXT, "entities": [{"start": 0.0, "end": 3}]}, "is not a span"),
        ({"text": TEXT, "entities": [{"start": True, "end": 3}]}, "is not a span"),
        ({"text": TEXT, "entities": [END | {"text": "spirin"}]}, "says text='spirin' but characters 0 to 7"),
        ({"text": TEXT, "entities": [END | {"score": "high"}]}, "'score' must be a number"),
        ({"text": TEXT, "entities": [END | {"score": True}]}, "'score' must be a number"),
        ({"text": TEXT, "entities": [END | {"score": math.nan}]}, "'score' must be a number between 0 and 1, got nan"),
        ({"text": TEXT, "entities": [END | {"score": -0.1}]}, "between 0 and 1, got -0.1"),
        ({"text": TEXT, "entities": [END | {"score": 10**400}]}, "between 0 and 1"),
        ({"text": TEXT, "entities": [END | {"label": 5}]}, "entity 'label' must be a string, got 5"),
        ({"text": TEXT, "entities": [END | {"fragments": [[0, 2], [2.5, 7]]}]}, "is not a list of [start, end]"),
        ({"text": TEXT, "entities": [END | {"fragments": [[0, math.inf]]}]}, "is not a list of [start, end]"),
        ({"text": TEXT, "entities": [END | {"fragments": [[0, 7], [7, 7]]}]}, "do not run from its start 0"),
        ({"text": TEXT, "entities": [END | {"fragments": [[3, 7], [0, 2]]}]}, "do not run from its start 0"),
        (
            {"text": TEXT, "entities": [END | {"type": "drug"}]},
            "entity has a key 'type' and no 'label'; is 'label' meant?",
        ),
        ({"text": TEXT, "entities": [END | {"lable": "drug"}]}, "entity has a key 'lable' and no 'label'"),
        ({"text": TEXT, "entities": [END | {"label": "drug", "scores": 0.5}]}, "is 'score' meant?"),
        (
            {"text": TEXT, "relations": [{"subject": END | {"type": "drug"}, "predicate": "p", "object": END}]},
            "subject has a key 'type' and no 'label'; is 'label' meant?",
        ),
        (
            {"text": TEXT, "relations": [{"subject": END, "predicate": "p", "object": END, "scor": 1}]},
            "relation has a key 'scor' and no 'score'",
        ),
        ({"text": TEXT, "events": [{"type": "t", "roles": [END]}]}, "event has a key 'roles' and no 'arguments'"),
        ({"text": TEXT, "meta": []}, "'meta' must be an object, got list"),
        ({"text": TEXT, "relations": [{"subject": END, "object": END}]}, "relation lacks 'predicate'"),
        (
            {"text": TEXT, "relations": [{"subject": END, "object": END, "predicate": ""}]},
            "relation 'predicate' must be a non-empty string",
        ),
        ({"text": TEXT, "relations": [{"subject": 0, "object": END, "predicate": "p"}]}, "subject must be an object"),
        ({"text": TEXT, "events": [{"type": "t", "arguments": [END]}]}, "argument lacks 'role'"),
        ({"text": TEXT, "unaligned": [{"kind": "x", "label": "l", "strings": []}]}, "unaligned 'kind' must be"),
    ],
)
def test_a_wrong_record_is_refused_with_what_is_wrong(record: dict[str, Any], said: str):
    with pytest.raises(DataError) as error:
        Document.from_json(record)
    assert said in str(error.value)
