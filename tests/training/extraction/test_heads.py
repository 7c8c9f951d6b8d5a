"""Every head through the same commands: train, evaluate, extract; and a head that fits neither recipe nor data."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console

from kexue.errors import OptionError, SchemaError
from kexue.extraction.checkpoint import load_checkpoint
from kexue.extraction.document import Document
from kexue.extraction.formats import write_documents
from kexue.extraction.heads import HEADS
from kexue.extraction.links import close_gold
from kexue.extraction.metrics import evaluate
from kexue.pipelines.evaluation import predict_and_judge
from kexue.pipelines.extractor import Extractor
from kexue.training.extraction.run import train
from tests.extraction.heads.fitting import DOCUMENTS
from tests.training.tiny import sentences, tiny_recipe

QUIET = Console(quiet=True)


def files_of(documents: list[Document], folder: Path) -> dict[str, Path]:
    paths = {"train": folder / "train.jsonl", "dev": folder / "dev.jsonl"}
    write_documents(documents[:-6], paths["train"])
    write_documents(documents[-6:], paths["dev"])
    return paths


@pytest.mark.parametrize("head", HEADS)
def test_a_head_is_trained_measured_and_used_like_any_other(head: str, encoder: Path, tmp_path: Path):
    documents = DOCUMENTS[HEADS[head].task](18)
    recipe = tiny_recipe(encoder, files_of(documents, tmp_path), tmp_path / "model", head=head, packing=0.5)
    folder = train(recipe, console=QUIET)
    assert load_checkpoint(folder).recipe["head"] == head
    extractor = Extractor.from_pretrained(folder, device="cpu")
    gold = close_gold(documents[-6:], extractor.schema)
    predicted, extra = predict_and_judge(extractor, gold)
    for kind, errors in extractor.metrics["dev_calibration_error"].items():
        assert extra["calibration_error"][kind] == pytest.approx(errors, abs=1e-6)
    evaluation = evaluate(gold, predicted, bootstrap_samples=0)
    assert evaluation.relations.headline.counts.gold == 0 or extractor.schema.predicates
    assert len(extractor.with_threshold(0.0).extract([document.text for document in documents])) == 18
    assert extractor("").to_json() == {"text": "", "entities": [], "relations": []}


def test_a_misspelt_head_is_refused_with_the_right_one(encoder: Path, tmp_path: Path):
    with pytest.raises(OptionError, match="Did you mean 'tplinker'"):
        tiny_recipe(encoder, {"train": tmp_path, "dev": tmp_path}, tmp_path / "model", head="tplink")


@pytest.mark.parametrize(("head", "task"), [("events", "gplinker"), ("gplinker", "events")])
def test_a_head_that_can_learn_nothing_from_the_data_is_refused_before_any_work(head: str, task: str, tmp_path: Path):
    data = files_of(DOCUMENTS[HEADS[task].task](18), tmp_path)
    recipe = tiny_recipe(tmp_path / "no encoder", data, tmp_path / "model", head=head)
    with pytest.raises(SchemaError, match=f"head = {task}"):
        train(recipe, console=QUIET)


def test_relations_are_left_aside_by_a_head_for_entities(encoder: Path, tmp_path: Path):
    data = files_of(sentences(18), tmp_path)
    folder = train(tiny_recipe(encoder, data, tmp_path / "model", head="crf"), console=QUIET)
    checkpoint = load_checkpoint(folder)
    assert checkpoint.model.head.labels.predicates == () and checkpoint.schema.predicates
    assert checkpoint.metrics["dev"]["relations_f1"] == 0.0
