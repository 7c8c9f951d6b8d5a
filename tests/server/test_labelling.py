"""Label Studio's protocol over HTTP: its addresses, its shapes, its keys, and refusals that it can show."""

from __future__ import annotations

import json

import httpx
import pytest

from kexue.extraction.formats import read_documents
from kexue.extraction.formats.label_studio import labeling_config
from kexue.pipelines.extractor import Extractor
from kexue.pipelines.suggestions import suggest
from tests.extraction.tiny import SCHEMA, TEXTS, tiny_checkpoint
from tests.server.conftest import Serve
from tests.server.running import running

CONFIG = labeling_config(SCHEMA.entity_types, SCHEMA.predicates)
TASKS = [{"id": index, "data": {"text": text}} for index, text in enumerate((*TEXTS, "", "😀 Marie 👩‍🔬 in Łódź"))]
ADDRESS = "/label-studio/people"


def ask(tasks: list, **fields: object) -> dict:
    """What Label Studio sends, with what is of no use here."""
    return {
        "tasks": tasks,
        "label_config": CONFIG,
        "project": "1.1700000000",
        "model_version": None,
        "params": {"login": None, "password": None, "context": None},
        **fields,
    }


def test_a_project_is_connected_and_its_tasks_are_predicted(serve: Serve, tmp_path):
    client = serve(label_studio=True)
    assert client.get(f"{ADDRESS}/health").json()["status"] == "UP"
    version = client.post(f"{ADDRESS}/setup", json={"project": "1.17", "schema": CONFIG, "access_token": "x"}).json()
    assert version["model_version"].startswith("people-") and version["without_label"] == []
    assert client.get(f"{ADDRESS}/versions").json() == {"versions": [version["model_version"]]}
    answer = client.post(f"{ADDRESS}/predict", json=ask(TASKS))
    assert answer.status_code == 200
    results = answer.json()["results"]
    assert len(results) == len(TASKS) and answer.json()["model_version"] == version["model_version"]
    path = tmp_path / "tasks.json"
    path.write_text(json.dumps([task | {"predictions": [found]} for task, found in zip(TASKS, results, strict=True)]))
    extractor = Extractor(tiny_checkpoint(), device="cpu")
    for task, document in zip(TASKS, read_documents(path, "label_studio").documents, strict=True):
        expected = extractor(task["data"]["text"])
        assert set(document.entities) == set(expected.entities)
        assert {(fact.subject, fact.predicate, fact.object) for fact in document.relations} == {
            (fact.subject, fact.predicate, fact.object) for fact in expected.relations
        }
        assert not document.unaligned


def test_the_lowest_score_has_the_text_that_would_be_suggested_first(serve: Serve):
    results = serve(label_studio=True).post(f"{ADDRESS}/predict", json=ask(TASKS)).json()["results"]
    extractor = Extractor(tiny_checkpoint(), device="cpu")
    by_text = {task["data"]["text"]: found["score"] for task, found in zip(TASKS, results, strict=True)}
    ranked = suggest(extractor, read([task["data"]["text"] for task in TASKS]), diversity=1.0).chosen
    scores = [by_text[item.document.text] for item in ranked]
    assert scores == sorted(scores)
    assert scores == pytest.approx([item.certainty for item in ranked], abs=1e-4)


def read(texts: list[str]) -> list:
    from kexue.extraction.document import Document

    return [Document(text) for text in texts]


def test_labels_that_the_project_lacks_are_told_when_it_is_connected(serve: Serve):
    config = labeling_config(["person"], ["born in"])
    answer = serve(label_studio=True).post(f"{ADDRESS}/setup", json={"schema": config}).json()
    assert answer["without_label"] == ["place", "died in"]


def test_events_are_taken_and_a_wish_to_train_is_refused_with_what_to_do(serve: Serve):
    client = serve(label_studio=True)
    assert client.post(f"{ADDRESS}/webhook", json={"action": "ANNOTATION_CREATED", "task": {}}).status_code == 200
    refused = client.post(f"{ADDRESS}/webhook", json={"action": "START_TRAINING", "project": {"id": 1}})
    assert refused.status_code == 422 and "kexue train export.json" in refused.json()["error"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"tasks": [{"id": 1, "data": {}}], "label_config": CONFIG}, "task 1: its data hold no text"),
        ({"tasks": TASKS}, "is no XML"),
        ({"tasks": TASKS, "label_config": "<View/>"}, "labels no text"),
        ({"tasks": "a", "label_config": CONFIG}, "tasks: Input should be a valid list"),
        ({"tasks": [1], "label_config": CONFIG}, "valid dictionary"),
        ({"tasks": TASKS * 50, "label_config": CONFIG}, "300 texts in one request; 256 are allowed"),
    ],
)
def test_a_wrong_request_is_refused_and_told_why(serve: Serve, body: dict, message: str):
    answer = serve(label_studio=True).post(f"{ADDRESS}/predict", json=body)
    assert answer.status_code == 422
    assert message in answer.json()["error"]


def test_other_models_and_generators_are_not_asked(serve: Serve):
    client = serve(label_studio=True)
    for name in ("dots", "peple", "..%2F..%2Fetc"):
        assert client.get(f"/label-studio/{name}/health").status_code in (404, 422)
        assert client.post(f"/label-studio/{name}/predict", json=ask([])).status_code in (404, 422)


def test_nothing_of_it_is_there_unless_it_is_asked_for(serve: Serve):
    assert serve().post(f"{ADDRESS}/predict", json=ask(TASKS)).status_code == 404


def test_the_key_is_taken_as_the_password_too(serve: Serve):
    client = serve(label_studio=True, api_keys=("secret", "其他"))
    assert client.get(f"{ADDRESS}/health").status_code == 401
    for auth in (("anybody", "secret"), ("", "其他")):
        assert client.get(f"{ADDRESS}/health", auth=auth).status_code == 200
    for header in ("Basic !!!", "Basic c2VjcmV0", "Basic Og==", "Basic", "Digest secret", "Bearer", "Bearer wrong"):
        assert client.get(f"{ADDRESS}/health", headers={"authorization": header}).status_code == 401
    assert client.get(f"{ADDRESS}/health", auth=("secret", "wrong")).status_code == 401


@pytest.mark.slow
def test_kexue_serve_answers_label_studio(model_folder):
    with running(str(model_folder), "--label-studio") as service:
        answer = httpx.post(f"{service.address}{ADDRESS}/predict", json=ask(TASKS), timeout=60)
        assert len(answer.json()["results"]) == len(TASKS)
        assert answer.json()["model_version"] != "people-"
