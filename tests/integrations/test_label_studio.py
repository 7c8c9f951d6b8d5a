"""What Label Studio sends is understood or refused with a reason; what it gets back fits its project."""

from __future__ import annotations

import pytest

from kexue.errors import OptionError
from kexue.extraction.document import Argument, Document, Event, Relation, Span
from kexue.extraction.formats.label_studio import Names, labeling_config
from kexue.integrations.label_studio import Project

TEXT = "😀 Aspirin caused a rash."
DRUG, RASH = Span(2, 9, "drug", 0.9), Span(19, 23, "effect", 0.8)
DOCUMENT = Document(TEXT, [DRUG, RASH], [Relation(DRUG, "causes", RASH, 0.7)])
CONFIG = """
<View>
  <Header value="Mark drugs"/>
  <Labels name="spans" toName="report"><Label value="drug"/><Label value="effect" hotkey="2"/></Labels>
  <Relations><Relation value="causes"/></Relations>
  <Choices name="kind" toName="report"><Choice value="case"/></Choices>
  <Text name="report" value="$body"/>
</View>
"""


def test_an_interface_says_what_its_tags_and_labels_are_called():
    project = Project.from_config(CONFIG)
    assert (project.names, project.field) == (Names("spans", "report"), "body")
    assert (project.labels, project.relations) == ({"drug", "effect"}, {"causes"})


def test_the_interface_that_we_write_is_one_that_we_read():
    project = Project.from_config(labeling_config(["drug", 'a "quoted" <label>'], ["causes & cures"]))
    assert project.labels == {"drug", 'a "quoted" <label>'}
    assert project.relations == {"causes & cures"}
    assert (project.names, project.field) == (Names(), "text")


def test_a_prediction_has_the_names_of_the_project_and_offsets_in_characters():
    prediction = Project.from_config(CONFIG).prediction(DOCUMENT, version="v1", score=0.25)
    first, second, relation = prediction["result"]
    assert (prediction["model_version"], prediction["score"]) == ("v1", 0.25)
    assert (first["from_name"], first["to_name"]) == ("spans", "report")
    assert first["value"] == {"start": 2, "end": 9, "text": "Aspirin", "labels": ["drug"]}
    assert (relation["from_id"], relation["to_id"], relation["labels"]) == (first["id"], second["id"], ["causes"])
    assert "left_out" not in prediction


def test_what_the_project_has_no_label_for_is_left_out_and_counted():
    project = Project.from_config(CONFIG.replace('<Label value="effect" hotkey="2"/>', ""))
    prediction = project.prediction(DOCUMENT, version="v1")
    assert [item["value"]["text"] for item in prediction["result"]] == ["Aspirin"]
    assert prediction["left_out"] == 2  # the effect, and the relation that ends in it
    other = Project.from_config(CONFIG.replace('Relation value="causes"', 'Relation value="treats"'))
    assert other.prediction(DOCUMENT, version="v1")["left_out"] == 1
    event = Document(TEXT, events=[Event("reaction", (Argument("drug", DRUG),), 0.9)])
    assert Project.from_config(CONFIG).prediction(event, version="v1")["left_out"] == 1


def test_a_project_without_relations_takes_any():
    config = CONFIG.replace('<Relations><Relation value="causes"/></Relations>', "")
    assert len(Project.from_config(config).prediction(DOCUMENT, version="v1")["result"]) == 3


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("", "is no XML"),
        ("<View>", "is no XML"),
        ("<View>\ud800</View>", "is no XML"),
        ("<View/>", "labels no text"),
        ('<View><Labels name="l" toName="i"/><Image name="i" value="$image"/></View>', "labels no text"),
        ('<View><Labels name="l" toName="t"/><Text name="t" value="fixed"/></View>', "labels no text"),
        ('<!DOCTYPE x [<!ENTITY a "aaaa">]><View>&a;</View>', "has a document type"),
        ('<!doctype x [<!entity a "aaaa">]><View>&a;</View>', "has a document type"),
    ],
)
def test_an_interface_that_cannot_be_used_is_refused(config: str, message: str):
    with pytest.raises(OptionError, match=message):
        Project.from_config(config)


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ({"id": 3, "data": {"text": "a"}}, "task 3: its data hold no text under 'body'"),
        ({"id": 3, "data": {"body": 5}}, "hold no text"),
        ({"id": 3}, "hold no text"),
        ({"id": 3, "data": ["body"]}, "hold no text"),
        ({"id": 3, "data": {"body": "a \ud83d"}}, "half of a surrogate pair"),
    ],
)
def test_a_task_without_a_text_is_refused(task: dict, message: str):
    with pytest.raises(OptionError, match=message):
        Project.from_config(CONFIG).text(task)
