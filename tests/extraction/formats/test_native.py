"""Native JSON Lines: nothing is lost either way, mistakes are named."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given

from kexue.errors import DataError
from kexue.extraction.document import Document, Relation, Span
from kexue.extraction.formats import native

from .samples import RECORDS, documents, write_lines

SCHEMA = Path(__file__).parents[3] / "docs" / "document.schema.json"
VALIDATOR = jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text()))


@given(documents(), documents())
def test_documents_come_back_as_they_were_written(tmp_path_factory, first, second):
    path = tmp_path_factory.mktemp("native") / "x.jsonl"
    native.write([first, second], path)
    assert list(native.read(path)) == [first, second]


@given(documents())
def test_what_is_written_fits_the_published_schema(document):
    VALIDATOR.validate(document.to_json())


def test_the_schema_names_every_field_and_refuses_a_wrong_one():
    VALIDATOR.check_schema(VALIDATOR.schema)
    assert tuple(VALIDATOR.schema["properties"]) == native.FIELDS
    for wrong in ({}, {"text": 1}, {"text": "a", "entities": [[0, 1]]}, {"text": "a", "relations": [{}]}):
        with pytest.raises(jsonschema.ValidationError):
            VALIDATOR.validate(wrong)


def test_scores_survive(tmp_path):
    span = Span(0, 1, "x", 0.5)
    native.write([Document("a", [span], [Relation(span, "r", span, 0.25)])], tmp_path / "x.jsonl")
    (document,) = native.read(tmp_path / "x.jsonl")
    assert (document.entities[0].score, document.relations[0].score) == (0.5, 0.25)


def test_other_keys_are_kept_in_meta(tmp_path):
    path = write_lines(tmp_path / "x.jsonl", RECORDS["native"] | {"doi": "10.1", "meta": {"n": 1}})
    assert next(native.read(path)).meta == {"doi": "10.1", "n": 1}


@pytest.mark.parametrize(
    ("key", "meant"), [("entites", "entities"), ("relation", "relations"), ("Entities", "entities")]
)
def test_a_misspelt_key_is_refused_because_its_gold_would_be_lost(key, meant, tmp_path):
    path = write_lines(tmp_path / "x.jsonl", RECORDS["native"], {"text": "a", key: []})
    with pytest.raises(DataError, match=f"x.jsonl:2: has a key '{key}'; is '{meant}' meant"):
        list(native.read(path))


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ([1], "a record must be an object, got"),
        ({"txt": "a"}, "has a key 'txt'; is 'text' meant"),
        ({"text": None}, "'text' must be a string"),
        ({"text": "a", "entities": {}}, "'entities' must be a list"),
        ({"text": "a", "entities": [[0, 1]]}, "entity must be an object"),
        ({"text": "a", "entities": [{"start": 0, "end": 2}]}, "is not a span of its text of 1 characters"),
        ({"text": "a", "entities": [{"start": "0", "end": 1}]}, "is not a span"),
        ({"text": "ab", "entities": [{"start": 0, "end": 1, "text": "b"}]}, "offsets must count characters"),
        ({"text": "a", "relations": [{"predicate": "r"}]}, "relation lacks 'subject'"),
    ],
)
def test_a_wrong_record_is_refused_with_its_line(record, message, tmp_path):
    path = write_lines(tmp_path / "x.jsonl", RECORDS["native"], record)
    with pytest.raises(DataError, match=message) as error:
        list(native.read(path))
    assert (error.value.path, error.value.line) == (path, 2)


def test_a_writer_that_fails_leaves_the_old_file(tmp_path):
    path = tmp_path / "x.jsonl"
    native.write([Document("old")], path)

    def failing():
        yield Document("new")
        raise RuntimeError("the source broke")

    with pytest.raises(RuntimeError):
        native.write(failing(), path)
    assert [document.text for document in native.read(path)] == ["old"]
    assert list(tmp_path.iterdir()) == [path]
