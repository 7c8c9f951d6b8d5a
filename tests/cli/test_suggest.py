"""`kexue suggest`: from a file of texts to tasks, from the annotated tasks back to training data."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kexue.extraction.formats import read_documents
from kexue.integrations.label_studio import Project
from kexue.training.extraction.data import load_training_data
from tests.commands import Command
from tests.training.tiny import read_json, sentences, tiny_recipe


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    path = tmp_path / "notes.txt"
    path.write_text("\n".join(item.text for item in sentences(40)[5:]) + "\n😀 Nothing. 居里夫人\n", "utf-8")
    return path


def test_tasks_are_ranked_pre_annotated_and_come_with_their_interface(fitted: Path, pool: Path, kexue: Command):
    output = pool.with_name("tasks.json")
    done = kexue("suggest", fitted, pool, "--num", 12, "--diversity", 1, "--output", output)
    assert (done.code, done.out) == (0, f"{output}\n{output.with_suffix('.xml')}\n")
    assert done.err == "12 of 36 texts; 0 annotated already, 0 stand twice\n"
    tasks = read_json(output)
    assert [task["data"]["rank"] for task in tasks] == list(range(1, 13))
    uncertainties = [task["data"]["uncertainty"] for task in tasks]
    assert uncertainties == sorted(uncertainties, reverse=True)
    scores = [task["predictions"][0]["score"] for task in tasks]
    assert scores == sorted(scores) == pytest.approx([2**-bits for bits in uncertainties], abs=1e-3)
    project = Project.from_config(output.with_suffix(".xml").read_text("utf-8"))
    labels = {label for task in tasks for item in task["predictions"][0]["result"] for label in labels_of(item)}
    assert labels and labels <= project.labels | project.relations
    assert all(project.text(task) for task in tasks)


def labels_of(result: dict) -> list[str]:
    return result.get("labels") or result["value"]["labels"]


def test_what_was_annotated_of_them_is_trained_on_and_the_rest_is_not(fitted: Path, pool: Path, kexue: Command):
    output = pool.with_name("tasks.json")
    kexue("suggest", fitted, pool, "--num", 12, "--output", output)
    tasks = read_json(output)
    for number, task in enumerate(tasks):  # somebody accepts the first five as they are
        if number < 5:
            task["annotations"] = [{"result": task["predictions"][0]["result"], "was_cancelled": False}]
    export = pool.with_name("export.json")
    export.write_text(json.dumps(tasks), "utf-8")
    documents = read_documents(export).documents
    assert [document.meta.get("annotated", True) for document in documents] == [True] * 5 + [False] * 7
    assert not any(document.entities for document in documents[5:])
    if any(document.relations for document in documents[:5]):
        data = load_training_data(tiny_recipe(fitted, {"train": export}, pool.with_name("model")))
        assert len(data.train) + len(data.dev) == 5


def test_texts_that_are_annotated_already_are_not_suggested(fitted: Path, gold: Path, pool: Path, kexue: Command):
    output = pool.with_name("next.jsonl")
    done = kexue("suggest", fitted, pool, "--known", gold, "--output", output)
    assert done.err == "31 of 36 texts; 5 annotated already, 0 stand twice\n"
    found = read_documents(output).documents
    assert not {item.text for item in found} & {item.text for item in sentences(10)}
    assert [item.meta["rank"] for item in found] == list(range(1, 32))


@pytest.mark.parametrize(
    ("content", "message"),
    [("", "is empty"), ('{"txt": 1}\n', ':1: has no string "text"'), ("\n \n", "is empty")],
)
def test_a_pool_that_holds_no_texts_is_refused(
    fitted: Path, tmp_path: Path, kexue: Command, content: str, message: str
):
    path = tmp_path / "pool.jsonl"
    path.write_text(content)
    assert message in kexue("suggest", fitted, path, "--output", tmp_path / "tasks.json").complaint
    assert not (tmp_path / "tasks.json").exists()
