"""doccano: all shapes of its versions, offsets in UTF-16 units, and a round trip."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kexue.errors import DataError
from kexue.extraction.document import Document, Event, Relation, Span
from kexue.extraction.formats import doccano
from kexue.extraction.formats.source import Sample
from tests.extraction.formats.annotated import documents_with_events

TEXT = "Aspirin caused a rash."
DRUG, RASH = Span(0, 7, "drug"), Span(17, 21, "effect")
ENTITIES = [
    {"id": 3, "label": "drug", "start_offset": 0, "end_offset": 7},
    {"id": 4, "label": "effect", "start_offset": 17, "end_offset": 21},
]
RELATED = {
    "id": 1,
    "text": TEXT,
    "entities": ENTITIES,
    "relations": [{"id": 5, "from_id": 3, "to_id": 4, "type": "causes"}],
    "Comments": ["sure?"],
}
SHAPES = [
    {"id": 1, "text": TEXT, "label": [[0, 7, "drug"], [17, 21, "effect"]]},
    {"id": 1, "data": TEXT, "label": [[0, 7, "drug"], [17, 21, "effect"]]},
    {"id": 1, "text": TEXT, "labels": [[0, 7, "drug"], [17, 21, "effect"]]},
    {"doc_id": 1, "text": TEXT, "entities": [[0, 7, "drug"], [17, 21, "effect"]], "username": "ann"},
    {"id": 1, "text": TEXT, "annotations": [{**entity, "user": 1} for entity in ENTITIES]},
    RELATED,
]


def write(folder: Path, *records: object) -> Path:
    path = folder / "all.jsonl"
    path.write_text("\n".join(json.dumps(record, ensure_ascii=False) for record in records), encoding="utf-8")
    return path


@pytest.mark.parametrize("record", SHAPES)
def test_every_shape_is_recognised_and_gives_the_same_spans(tmp_path, record):
    assert doccano.detect(Sample(Path("x"), json.dumps(record), record))
    (document,) = doccano.read(write(tmp_path, record))
    assert (document.text, document.id, document.entities) == (TEXT, "1", [DRUG, RASH])


def test_relations_refer_to_entities_by_id_and_other_fields_become_meta(tmp_path):
    (document,) = doccano.read(write(tmp_path, RELATED))
    assert document.relations == [Relation(DRUG, "causes", RASH)]
    assert document.meta == {"Comments": ["sure?"]}


def test_native_records_and_classified_texts_are_not_taken_for_doccano():
    native = Document(TEXT, [DRUG, RASH], [Relation(DRUG, "causes", RASH)]).to_json()
    for record in (native, Document(TEXT).to_json(), {"text": TEXT, "label": ["positive"]}, None, []):
        assert not doccano.detect(Sample(Path("x"), json.dumps(record), record))


def test_offsets_count_utf16_units_as_the_browser_does(tmp_path):
    # doccano issue 2290: "firetrucks" has 22 to 32 there, 19 to 29 in Python
    text = "👨🏻‍🚒 firemen drive firetrucks"
    start = len(text[: text.index("firetrucks")].encode("utf-16-le")) // 2
    (document,) = doccano.read(write(tmp_path, {"text": text, "label": [[start, start + 10, "vehicle"]]}))
    assert document.entities[0].surface(text) == "firetrucks"


def test_offsets_are_characters_where_only_these_fit_the_surface(tmp_path):
    entity = {"start_offset": 2, "end_offset": 4, "label": "dis", "entity": "阿尔"}
    (document,) = doccano.read(write(tmp_path, {"text": "😀 阿尔", "entities": [entity]}))
    assert document.entities == [Span(2, 4, "dis")]


def test_a_surface_that_its_offsets_do_not_show_is_kept_as_unaligned_with_its_relations(tmp_path):
    wrong = {**ENTITIES[0], "entity": "Ibuprofen"}
    (document,) = doccano.read(write(tmp_path, {**RELATED, "entities": [wrong, ENTITIES[1]]}))
    assert document.entities == [RASH]
    assert [(item.kind, item.strings) for item in document.unaligned] == [
        ("entity", ("Ibuprofen",)),
        ("relation", ("Ibuprofen", "rash")),
    ]


@settings(max_examples=50, deadline=None)
@given(st.lists(documents_with_events(), min_size=1, max_size=3))
def test_what_is_written_is_read_again(tmp_path_factory, documents):
    path = tmp_path_factory.mktemp("doccano") / "all.jsonl"
    doccano.write(documents, path)
    assert list(doccano.read(path)) == documents


def test_unaligned_gold_events_and_meta_travel_with_the_text(tmp_path):
    (unaligned,) = doccano.read(
        write(tmp_path, {**RELATED, "entities": [{**ENTITIES[0], "entity": "?"}], "relations": []})
    )
    document = Document(TEXT, unaligned=unaligned.unaligned, events=[Event("e", ())], meta={"year": 2020})
    doccano.write([document], tmp_path / "out.jsonl")
    assert list(doccano.read(tmp_path / "out.jsonl")) == [document]


def test_a_span_without_a_label_is_called_entity(tmp_path):
    doccano.write([Document(TEXT, [Span(0, 7)])], tmp_path / "out.jsonl")
    assert next(iter(doccano.read(tmp_path / "out.jsonl"))).entities == [Span(0, 7, "entity")]


def test_a_failed_write_leaves_no_file(tmp_path):
    def broken():
        yield Document(TEXT)
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError):
        doccano.write(broken(), tmp_path / "out.jsonl")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"entities": [{**ENTITIES[0], "end_offset": 99}]},
            "'drug' at 0 to 99 is not a span of its text of 22",
        ),
        ({"relations": [{"from_id": 3, "to_id": 9, "type": "x"}]}, "a relation must have type and"),
        ({"entities": [{"start_offset": 0, "end_offset": 7}]}, "an entity must be"),
        ({"entities": [{**ENTITIES[0], "start_offset": "0"}]}, "'start_offset' of an entity must be a whole"),
        ({"meta": "x"}, "'meta' of the record must be an object"),
        ({"text": 7}, "must be a string"),
    ],
)
def test_a_wrong_record_is_refused_with_its_line(tmp_path, change, message):
    with pytest.raises(DataError, match=rf"all.jsonl:2: .*{message}"):
        list(doccano.read(write(tmp_path, RELATED, {**RELATED, **change})))


def test_truncated_empty_and_mis_encoded_files_are_refused(tmp_path):
    path = write(tmp_path, RELATED, RELATED)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DataError, match=r"all.jsonl:2: is not a JSON record .* cut short"):
        list(doccano.read(path))
    path.write_bytes(b"")
    with pytest.raises(DataError, match=r"all.jsonl: is empty"):
        list(doccano.read(path))
    path.write_bytes('{"text": "阿司匹林", "label": []}'.encode("gb18030"))
    with pytest.raises(DataError, match=r"all.jsonl:1: is not UTF-8 .* iconv -f GB18030"):
        list(doccano.read(path))


def test_the_real_nested_entities_of_cmeee_agree_with_their_surfaces(shared_data):
    documents = list(doccano.read(shared_data / "cmeee" / "dev.json"))
    assert (len(documents), sum(len(document.entities) for document in documents)) == (5000, 20300)
    assert not any(document.unaligned for document in documents)
