"""Label Studio: which annotation counts, what its offsets count, relations both ways, and a round trip."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kexue.errors import DataError
from kexue.extraction.document import Document, Relation, Span
from kexue.extraction.formats import label_studio
from kexue.extraction.formats.source import Sample
from tests.extraction.formats.annotated import documents_with_events

TEXT = "Aspirin caused a rash."
DRUG, RASH = Span(0, 7, "drug"), Span(17, 21, "effect")


def region(identity: str, start: int, end: int, text: str, *labels: str) -> dict:
    value = {"start": start, "end": end, "text": text, "labels": list(labels)}
    return {"id": identity, "type": "labels", "from_name": "label", "to_name": "text", "value": value}


def link(first: str, second: str, **values: object) -> dict:
    return {"type": "relation", "from_id": first, "to_id": second, **values}


ENTITIES = [region("a", 0, 7, "Aspirin", "drug"), region("b", 17, 21, "rash", "effect")]


def task(*annotations: dict, text: str = TEXT, **fields: object) -> dict:
    return {"id": 7, "data": {"text": text}, "annotations": list(annotations), **fields}


def read(folder: Path, *tasks: object) -> list[Document]:
    path = folder / "export.json"
    path.write_text(json.dumps(list(tasks), ensure_ascii=False, indent=1), encoding="utf-8")
    return list(label_studio.read(path))


def test_labels_and_relations_of_an_annotation_are_read(tmp_path):
    result = [*ENTITIES, link("a", "b", direction="right", labels=["causes"])]
    (document,) = read(tmp_path, task({"result": result, "was_cancelled": False}))
    assert document == Document(TEXT, [DRUG, RASH], [Relation(DRUG, "causes", RASH)], id="7")


@pytest.mark.parametrize(
    ("direction", "expected"),
    [
        ("right", [Relation(DRUG, "r", RASH)]),
        ("left", [Relation(RASH, "r", DRUG)]),
        ("bi", [Relation(DRUG, "r", RASH), Relation(RASH, "r", DRUG)]),
    ],
)
def test_the_direction_of_a_relation_is_kept(tmp_path, direction, expected):
    result = [link("a", "b", direction=direction, labels=["r"]), *ENTITIES]
    (document,) = read(tmp_path, task({"result": result}))
    assert document.relations == expected


def test_a_relation_without_a_label_is_called_relation(tmp_path):
    (document,) = read(tmp_path, task({"result": [*ENTITIES, link("a", "b")]}))
    assert document.relations == [Relation(DRUG, "relation", RASH)]


def test_the_first_annotation_that_was_not_cancelled_counts(tmp_path):
    cancelled = {"result": ENTITIES, "was_cancelled": True}
    first, second = {"result": ENTITIES[:1]}, {"result": ENTITIES[1:]}
    (document,) = read(tmp_path, task(cancelled, first, second))
    assert document.entities == [DRUG]


def test_completions_of_old_versions_are_annotations(tmp_path):
    (document,) = read(tmp_path, {"id": 7, "data": {"text": TEXT}, "completions": [{"result": ENTITIES}]})
    assert document.entities == [DRUG, RASH]


def test_predictions_count_where_nobody_annotated(tmp_path):
    predictions = [{"result": [{**ENTITIES[0], "score": 0.75}], "score": 0.75}]
    predicted, annotated = read(tmp_path, task(predictions=predictions), task({"result": []}, predictions=predictions))
    assert [span.score for span in predicted.entities] == [0.75]
    assert annotated.entities == [] and "annotated" not in annotated.meta


def test_a_score_that_is_no_confidence_is_refused(tmp_path):
    with pytest.raises(DataError, match="'score' must be a number between 0 and 1, got 75"):
        read(tmp_path, task(predictions=[{"result": [{**ENTITIES[0], "score": 75}]}]))


def test_a_task_that_nobody_annotated_or_all_cancelled_is_marked(tmp_path):
    predictions = [{"result": ENTITIES}]
    documents = read(tmp_path, task(), task({"result": ENTITIES, "was_cancelled": True}, predictions=predictions))
    assert [(document.entities, document.meta) for document in documents] == [([], {"annotated": False})] * 2


def test_a_region_with_two_labels_gives_two_spans_and_its_relations_take_the_first(tmp_path):
    both = region("a", 0, 7, "Aspirin", "drug", "brand")
    (document,) = read(tmp_path, task({"result": [both, ENTITIES[1], link("a", "b", labels=["r"])]}))
    assert set(document.entities) == {DRUG, Span(0, 7, "brand"), RASH}
    assert document.relations == [Relation(DRUG, "r", RASH)]


def test_choices_are_kept_in_meta(tmp_path):
    choice = {"type": "choices", "from_name": "kind", "value": {"choices": ["case report"]}}
    (document,) = read(tmp_path, task({"result": [*ENTITIES, choice]}))
    assert document.meta["results"] == [choice]


def test_the_surface_tells_characters_from_utf16_units(tmp_path):
    text = "👋🏽 Hola, soy Roberto Jr"  # the text of issue 1008
    start = text.index("Jr")
    units = len(text[:start].encode("utf-16-le")) // 2
    assert units == start + 2
    for written in (start, units):
        (document,) = read(tmp_path, task({"result": [region("a", written, written + 2, "Jr", "x")]}, text=text))
        assert document.entities == [Span(start, start + 2, "x")]


def test_line_breaks_in_a_surface_may_be_written_in_any_way(tmp_path):
    (document,) = read(tmp_path, task({"result": [region("a", 0, 4, "a\n\nb", "x")]}, text="a\r\nb"))
    assert document.entities == [Span(0, 4, "x")]


def test_a_surface_that_its_offsets_do_not_show_is_kept_as_unaligned_with_its_relations(tmp_path):
    result = [region("a", 0, 7, "Ibuprofen", "drug"), ENTITIES[1], link("a", "b", labels=["r"])]
    (document,) = read(tmp_path, task({"result": result}))
    assert [(item.kind, item.strings) for item in document.unaligned] == [
        ("entity", ("Ibuprofen",)),
        ("relation", ("Ibuprofen", "rash")),
    ]


@settings(max_examples=50, deadline=None)
@given(st.lists(documents_with_events(), min_size=1, max_size=3))
def test_what_is_written_is_read_again(tmp_path_factory, documents):
    path = tmp_path_factory.mktemp("label_studio") / "tasks.json"
    label_studio.write(documents, path)
    assert list(label_studio.read(path)) == documents


def test_pre_annotations_carry_model_and_scores(tmp_path):
    sure, unsure = Span(0, 7, "drug", 0.9), Span(17, 21, "effect", 0.4)
    document = Document(TEXT, [sure, unsure], [Relation(sure, "causes", unsure, 0.3)])
    label_studio.write([document], tmp_path / "tasks.json")
    (written,) = json.loads((tmp_path / "tasks.json").read_text(encoding="utf-8"))
    (prediction,) = written["predictions"]
    assert (written["data"], prediction["model_version"], prediction["score"]) == (
        {"text": TEXT},
        "kexue",
        0.3,
    )
    assert [item.get("score") for item in prediction["result"]] == [0.9, 0.4, 0.3]
    (again,) = label_studio.read(tmp_path / "tasks.json")
    assert [span.score for span in again.entities] == [0.9, 0.4]


def test_no_documents_are_written_as_an_empty_list(tmp_path):
    label_studio.write([], tmp_path / "tasks.json")
    assert json.loads((tmp_path / "tasks.json").read_text(encoding="utf-8")) == []


def test_the_labelling_interface_has_the_names_that_tasks_refer_to():
    root = ElementTree.fromstring(label_studio.labeling_config(["drug", 'a "b" <c>', ""], ["causes"]))
    assert [label.get("value") for label in root.iter("Label")] == ["drug", 'a "b" <c>', "entity"]
    assert [relation.get("value") for relation in root.iter("Relation")] == ["causes"]
    assert root.find("Labels").attrib == {"name": "label", "toName": "text"}
    assert root.find("Text").attrib == {"name": "text", "value": "$text"}


def test_tasks_are_recognised():
    assert label_studio.detect(Sample(Path("x"), "", task()))
    assert not label_studio.detect(Sample(Path("x"), "", {"data": TEXT, "label": []}))
    assert not label_studio.detect(Sample(Path("x"), "", None))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"text": TEXT}, "is not a Label Studio task .* not JSON-MIN"),
        ({"data": {"image": 7}, "annotations": []}, 'hold its text as "text"; it has .*image'),
        (task({"result": [link("a", "z", labels=["r"]), *ENTITIES]}), "KeyError: 'z'"),
        (
            task({"result": [{**ENTITIES[0], "value": {"start": 0, "end": 99, "labels": ["x"]}}]}),
            "'x' at 0 to 99",
        ),
        (
            task({"result": [{**ENTITIES[0], "value": {"startOffset": 0, "labels": ["x"]}}]}),
            "with a Text tag",
        ),
    ],
)
def test_a_wrong_task_is_refused_with_its_line(tmp_path, wrong, message):
    with pytest.raises(DataError, match=rf"export.json:\d+: .*{message}"):
        read(tmp_path, task({"result": ENTITIES}), wrong)


def test_truncated_empty_and_mis_encoded_files_are_refused(tmp_path):
    path = tmp_path / "export.json"
    whole = json.dumps([task({"result": ENTITIES}, text="阿司匹林")], ensure_ascii=False)
    for data, message in (
        (whole[:-1].encode(), "the JSON array is not closed"),
        (whole[:-20].encode(), "is not a JSON array .* cut short"),
        (b" \n", "is empty"),
        (whole.encode("gb18030"), "is not UTF-8 .* iconv -f GB18030"),
    ):
        path.write_bytes(data)
        with pytest.raises(DataError, match=rf"export.json.*: {message}"):
            list(label_studio.read(path))
