"""Files of a training are refused, with the reason, before any work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kexue.errors import DataError, KexueError, SchemaError
from kexue.extraction.document import Document, Relation, Span
from kexue.extraction.formats import write_documents
from kexue.training.extraction.data import TrainingData, hold_out, load_training_data
from kexue.training.extraction.recipe import ExtractionRecipe

TEXT = "Aspirin caused a rash."
HELD_OUT_OF_THIRTY = {0: [3, 10, 18], 1: [11, 16, 26], 42: [10, 14, 19]}  # stored results rest on these draws


def fact(predicate: str = "causes", *, types: tuple[str, str] = ("drug", "effect")) -> Document:
    ends = Span(0, 7, types[0]), Span(17, 21, types[1])
    return Document(TEXT, list(ends), [Relation(ends[0], predicate, ends[1])])


def load(folder: Path, train: list[Document], dev: list[Document] | None = None, **values: Any) -> TrainingData:
    write_documents(train, folder / "train.jsonl")
    if dev is not None:
        write_documents(dev, folder / "dev.jsonl")
        values["dev"] = folder / "dev.jsonl"
    return load_training_data(
        ExtractionRecipe.from_values({"train": folder / "train.jsonl", "output": folder / "out"} | values)
    )


def refused(kind: type[KexueError], *arguments: Any, **values: Any) -> str:
    with pytest.raises(kind) as error:
        load(*arguments, **values)
    return str(error.value)


def test_a_file_without_annotations_is_refused(tmp_path: Path):
    message = refused(DataError, tmp_path, [Document(TEXT), Document("Nothing.")])
    assert message.startswith(f"{tmp_path / 'train.jsonl'}:") and "nothing to learn" in message


def test_an_empty_or_absent_file_is_refused(tmp_path: Path):
    (tmp_path / "train.jsonl").write_text("")
    for name in ("train.jsonl", "none.jsonl"):
        with pytest.raises(DataError, match=name):
            load_training_data(ExtractionRecipe.from_values({"train": tmp_path / name, "output": tmp_path / "out"}))


def test_texts_without_a_finished_annotation_are_left_out_of_train_with_a_note(tmp_path: Path):
    waiting = Document("Not yet looked at.", meta={"annotated": False})
    data = load(tmp_path, [fact(), waiting, fact()], [Document("Nothing."), waiting])
    assert [item.text for item in data.train] == [TEXT, TEXT]
    assert data.notes == [f"1 texts without a finished annotation are left out of {tmp_path / 'train.jsonl'}"]
    assert "none of its texts" in refused(DataError, tmp_path, [waiting], [fact()])


@pytest.mark.parametrize("copies", [1, 30])
def test_one_text_cannot_be_split_however_often_it_stands_there(copies: int, tmp_path: Path):
    assert "train.jsonl: one text cannot be split" in refused(DataError, tmp_path, [fact()] * copies)


@pytest.mark.parametrize("where", ["train", "dev"])
def test_a_relation_type_that_the_recipe_lacks_is_refused_with_the_likeliest(where: str, tmp_path: Path):
    files = {"train": [fact(), fact()], "dev": [fact()]}
    files[where].append(fact("cuases"))
    message = refused(SchemaError, tmp_path, files["train"], files["dev"], relation_types=["causes"])
    number = len(files[where])
    assert f"{where}.jsonl: document {number}: unknown relation type 'cuases'. Did you mean 'causes'?" in message


def test_an_empty_list_of_relation_types_refuses_every_relation(tmp_path: Path):
    assert "unknown relation type 'causes'. Allowed: none." in refused(
        SchemaError, tmp_path, [fact()], relation_types=[]
    )


def test_an_entity_type_that_only_ends_of_relations_have_is_refused_too(tmp_path: Path):
    document = fact(types=("drug", "efect"))
    document.entities.pop()
    message = refused(SchemaError, tmp_path, [document, fact()], entity_types=["drug", "effect"])
    assert "document 1: unknown entity type 'efect'. Did you mean 'effect'?" in message


def test_types_can_be_ignored(tmp_path: Path):
    data = load(tmp_path, [fact(), fact()], [fact()], entity_types=[])
    assert not data.schema.typed
    assert {span.label for span in data.train[0].entities} == {""}


def test_dev_without_the_types_of_train_is_refused(tmp_path: Path):
    message = refused(SchemaError, tmp_path, [fact()], [fact(), fact(types=("", ""))])
    assert "document 2 has an entity without a type" in message and "entity_types = []" in message


def test_labels_that_only_dev_has_are_counted_and_noted(tmp_path: Path):
    data = load(tmp_path, [fact()], [fact("prevents", types=("drug", "disorder"))])
    assert data.schema.predicates == ("causes", "prevents")
    assert data.schema.entity_types == ("drug", "effect", "disorder")
    assert "prevents" in data.notes[-1] and "disorder" in data.notes[-1]


def test_dev_texts_that_are_in_train_are_noted_with_their_number(tmp_path: Path):
    others = [Document("Nothing."), Document("Nothing else.")]
    note = "dev texts are also in train: scores on dev will look better than they are"
    assert load(tmp_path, [fact(), *others], [fact(), others[0], Document("New.")]).notes == [f"2 of 3 {note}"]
    assert load(tmp_path, [fact()] * 3, [fact()] * 3).notes == [f"3 of 3 {note}"]
    assert load(tmp_path, [fact()], others).notes == []


def test_a_tenth_is_held_out_the_same_for_the_same_seed(tmp_path: Path):
    documents = [Document(f"text {index}") for index in range(30)]
    train, dev = hold_out(documents, 1)
    assert len(dev) == 3 and sorted(train + dev, key=documents.index) == documents
    assert hold_out(documents, 1) == (train, dev) != hold_out(documents, 2)
    assert "3 of 30" in load(tmp_path, [fact(), *documents[1:]]).notes[0]


def test_distinct_texts_are_held_out_as_they_always_were():
    documents = [Document(f"text {index}") for index in range(30)]
    for seed, indices in HELD_OUT_OF_THIRTY.items():
        assert hold_out(documents, seed)[1] == [documents[index] for index in indices]


@pytest.mark.parametrize("copies", [[2] * 15, [1] * 5 + [25], [20, 40], [1, 1], [3] * 100 + [1] * 200])
def test_equal_texts_are_held_out_together(copies: list[int]):
    documents = [Document(f"text {index}") for index, number in enumerate(copies) for _ in range(number)]
    for seed in range(20):
        train, dev = hold_out(documents, seed)
        assert hold_out(documents, seed) == (train, dev)
        assert train and dev and not {item.text for item in train} & {item.text for item in dev}
        assert sorted(train + dev, key=documents.index) == documents
        assert len(dev) <= max(1, 0.1 * len(documents), min(copies))
        if len(copies) > 100:
            assert len(dev) == 50


def test_constraints_of_the_recipe_reach_the_schema(tmp_path: Path):
    data = load(tmp_path, [fact()], [fact()], constraints={"causes": {"functional": True}})
    (relation,) = data.schema.relation_types
    assert relation.functional and relation.subject_types == ("drug",)
    said = refused(SchemaError, tmp_path, [fact()], [fact()], constraints={"cause": {}})
    assert said.startswith("recipe: constraints: unknown relation type 'cause'. Did you mean 'causes'?")


def test_an_unknown_relation_of_a_recipe_is_told_with_its_file(tmp_path: Path):
    write_documents([fact()], tmp_path / "train.jsonl")
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(
        'train = "train.jsonl"\ndev = "train.jsonl"\noutput = "out"\n[constraints.cause]\nfunctional = true\n'
    )
    with pytest.raises(SchemaError) as error:
        load_training_data(ExtractionRecipe.from_file(recipe))
    assert str(error.value).startswith(f"{recipe}: constraints: unknown relation type 'cause'")


def test_ends_can_be_left_open(tmp_path: Path):
    (relation,) = load(tmp_path, [fact()], [fact()], typed_ends=False).schema.relation_types
    assert relation.subject_types == relation.object_types == ()
