"""Cards of real folders: the hub's own reader takes them, their numbers are the folder's, hostile names do no harm."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from huggingface_hub import ModelCard
from rich.console import Console

from kexue.cards import add_evaluation, read_evaluations, read_facts, write_card
from kexue.cards.template import provenance_lines
from kexue.data import demo_path
from kexue.diffusion.checkpoint import GeneratorCheckpoint, save_generator
from kexue.diffusion.denoisers import GAUDenoiser
from kexue.errors import CheckpointError
from kexue.extraction.checkpoint import load_checkpoint, save_checkpoint
from kexue.extraction.document import Document
from kexue.extraction.formats import write_documents
from kexue.extraction.schema import RelationType, Schema
from kexue.files import digest, write_json
from kexue.pipelines.evaluation import keep_evaluation
from kexue.pipelines.extractor import Extractor
from kexue.provenance import describe_origin, source_files
from kexue.training.generation.recipe import GenerationRecipe
from kexue.training.generation.run import train as train_generator
from kexue.training.pretraining.recipe import PretrainingRecipe
from kexue.training.pretraining.run import pretrain
from tests.extraction.tiny import tiny_checkpoint
from tests.training.generation.tiny import SIZES
from tests.training.tiny import read_json, sentences

QUIET = Console(quiet=True)


@pytest.fixture
def folder(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "my model"))


def card(folder: Path) -> ModelCard:
    """As the hub's library reads it, which refuses a model index that is not one."""
    return ModelCard.load(folder / "README.md")


def results(folder: Path) -> dict[tuple[str, str], float]:
    """(split, metric's name) of each result in the model index."""
    return {(item.dataset_split, item.metric_name): item.metric_value for item in card(folder).data.eval_results}


# --- extractors ---


@pytest.mark.slow
def test_training_writes_a_card_that_the_hub_reads(trained: Path):
    data = card(trained).data
    assert (data.library_name, data.pipeline_tag, data.language) == ("kexue", "token-classification", ["en"])
    assert {"kexue", "relation-extraction", "named-entity-recognition", "gplinker"} <= set(data.tags)
    assert data.model_name == trained.name
    report = read_json(trained / "kexue.json")["metrics"]["dev_report"]
    assert results(trained)["validation", "F1 of relations"] == round(report["relations"]["f1"], 4) > 0.5
    assert results(trained)["validation", "Recall of entities"] == round(report["entities"]["recall"], 4)


def test_the_data_are_named_with_their_digests(trained: Path):
    gold = trained.parent / "gold.jsonl"
    text = (trained / "README.md").read_text("utf-8")
    rows = [line for line in text.splitlines() if digest(gold) in line and line.startswith("|")]
    assert [row.split(" | ")[:2] for row in rows] == [["| train", "gold.jsonl"], ["| dev", "gold.jsonl"]]
    assert str(trained.parent) not in text  # a card says nothing of somebody's folders
    assert "licence of the files without one above is not known" in text


def test_dev_is_measured_with_intervals_as_it_is_extracted(trained: Path):
    extractor = Extractor.from_pretrained(trained, device="cpu")
    report = read_json(trained / "kexue.json")["metrics"]["dev_report"]
    found = extractor.extract(sentences(10))
    gold = {(index, fact) for index, item in enumerate(sentences(10)) for fact in item.relations}
    ours = {(index, fact) for index, item in enumerate(found) for fact in item.relations}
    assert (report["relations"]["correct"], report["relations"]["gold"]) == (len(gold & ours), len(gold))
    low, high = report["relations"]["interval"]
    assert low <= report["relations"]["f1"] <= high
    assert f"| {low:.3f} to {high:.3f} |" in (trained / "README.md").read_text("utf-8")


def test_what_is_in_the_package_is_known_with_its_licence(tmp_path: Path):
    copy = tmp_path / "renamed.gz"
    shutil.copy(demo_path("phee", "test"), copy)
    origin = describe_origin({"train": [copy]}, content="0")
    save_checkpoint(replace(tiny_checkpoint(), provenance=origin), tmp_path / "model")
    assert card(tmp_path / "model").data.datasets == ["phee"]
    text = (tmp_path / "model" / "README.md").read_text("utf-8")
    assert f"| train | renamed.gz | {copy.stat().st_size:,} | {digest(copy)} | MIT |" in text
    assert "not known" not in text


def test_the_lines_of_python_in_the_card_run(folder: Path, monkeypatch: pytest.MonkeyPatch):
    (code,) = re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text("utf-8"), re.DOTALL)
    write_card(folder)
    (code,) = re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text("utf-8"), re.DOTALL)
    assert len(code.splitlines()) == 3
    monkeypatch.chdir(folder.parent)
    names: dict = {}
    exec(code, names)
    assert names["document"].text == "Your text."


def test_evaluations_are_added_with_the_digest_of_their_file(folder: Path, tmp_path: Path):
    gold = tmp_path / "test.jsonl"
    write_documents(sentences(14)[10:], gold)
    measured = {"documents": 4, "relations": {"precision": 0.5, "recall": 0.25, "f1": 1 / 3, "interval": [0.1, 0.6]}}
    fingerprint = load_checkpoint(folder).fingerprint
    for _ in range(2):  # the second replaces the first
        assert keep_evaluation(folder, gold, measured) == folder / "README.md"
    keep_evaluation(folder, gold, measured, {"precision": 0.9})
    assert load_checkpoint(folder).fingerprint == fingerprint
    assert len(read_evaluations(folder)) == 2
    assert results(folder)["test", "F1 of relations"] == 0.3333
    text = (folder / "README.md").read_text("utf-8")
    assert text.count(digest(gold)) == 2 + 2  # two tables, and the model index
    assert "0.100 to 0.600" in text and ", precision 0.9)" in text
    assert "trained on" not in text.split("measured by `kexue evaluate`")[1].split("##")[0]


def test_measuring_on_training_data_is_called_what_it_is(folder: Path, trained: Path):
    keep_evaluation(folder, trained.parent / "gold.jsonl", {"documents": 10})
    assert "These are files that it was trained on (dev, train)" in (folder / "README.md").read_text("utf-8")


def test_what_was_measured_on_dev_is_no_test(folder: Path, tmp_path: Path):
    dev = tmp_path / "copy of dev.jsonl"
    write_documents(sentences(14)[10:], dev)
    manifest = read_json(folder / "kexue.json")
    (entry,) = source_files("dev", dev)
    manifest["provenance"]["data"][1] = entry | {"name": "dev.jsonl"}
    write_json(folder / "kexue.json", manifest)
    keep_evaluation(folder, dev, {"documents": 4, "relations": {"precision": 0.5, "recall": 0.5, "f1": 0.25}})
    text = (folder / "README.md").read_text("utf-8")
    assert {split for split, _ in results(folder)} == {"validation"}
    measured = text.split("measured by `kexue evaluate`")[1].split("##")[0]
    assert "| dev | copy of dev.jsonl |" in measured and "| test |" not in measured
    assert "These are dev files" in measured and "trained on" not in measured


def test_evaluations_of_a_model_that_was_replaced_count_no_more(folder: Path, tmp_path: Path):
    add_evaluation(folder, {"data": [{"role": "test", "name": "a"}], "documents": 1})
    assert len(read_evaluations(folder)) == 1
    other = folder.with_name("other")
    shutil.copytree(folder, other)
    save_checkpoint(tiny_checkpoint(), folder)
    assert read_evaluations(folder) == []
    shutil.copy(other / "evaluations.json", folder)  # as a copy of files from two models leaves them
    assert read_evaluations(folder) == []
    (folder / "evaluations.json").write_text("damaged")
    save_checkpoint(tiny_checkpoint(), folder)  # a training does not end in an error for their sake
    assert (folder / "README.md").exists()


def test_damaged_evaluations_are_named(folder: Path):
    (folder / "evaluations.json").write_text('{"model": "0"}')
    with pytest.raises(CheckpointError, match=r"evaluations\.json: is damaged \(KeyError.*evaluate again"):
        write_card(folder)


def test_what_is_weak_or_hardly_measured_is_said(folder: Path):
    scores = {"precision": 0.9, "recall": 0.9, "f1": 0.9, "gold": 100}
    by_label = {"good": scores, "bad": scores | {"f1": 0.2}, "rare": scores | {"gold": 3}}
    data = [{"role": "test", "name": "t"}]
    add_evaluation(folder, {"data": data, "documents": 9, "relations": scores | {"by_label": by_label}})
    text = write_card(folder).read_text("utf-8")
    assert "Weak relations, with an F1 below 0.5: bad." in text
    assert "so that little is known: rare." in text


def test_the_same_folder_gives_the_same_card_and_a_persons_words_stay(folder: Path):
    before = write_card(folder).read_bytes()
    assert write_card(folder).read_bytes() == before
    path = folder / "README.md"
    path.write_bytes(before + "\n## 数据许可\n\nLicence: ours.\r\n\xff".encode("latin-1", "replace"))
    edited = path.read_bytes()
    assert write_card(folder).read_bytes() == edited
    save_checkpoint(replace(tiny_checkpoint(), metrics={"steps": 12345}), folder)
    assert b"Licence: ours.\r\n\xff" in path.read_bytes() and b"12,345 steps" in path.read_bytes()


HOSTILE = "a|b `c` <!-- kexue end --> \\ *d*\n# e \ud800 ```"


def test_names_of_others_cannot_break_a_card(tmp_path: Path):
    schema = Schema((HOSTILE, "place"), (RelationType(HOSTILE, (HOSTILE,), ("place",)),))
    origin = {
        "begun": "2026-01-01",
        "machine": HOSTILE,
        "versions": {"kexue": "0"},
        "content": "0",
        "data": [{"role": "train", "name": HOSTILE.replace("\ud800", ""), "bytes": 1, "sha256": "0"}],
        "languages": [],
    }
    checkpoint = tiny_checkpoint(schema)
    checkpoint = replace(checkpoint, provenance=origin, recipe={"train": HOSTILE, "encoder": "``` <b>"})
    (tmp_path / "a`b'c").mkdir()
    save_checkpoint(checkpoint, tmp_path / "a`b'c")
    path = tmp_path / "a`b'c" / "README.md"
    text = path.read_text("utf-8")
    assert text.count("kexue end") - text.count("&lt;!-- kexue end") - text.count("u003c!-- kexue end") == 1
    assert text.count("```") == 6  # three code blocks
    before = path.read_bytes()
    assert write_card(path.parent).read_bytes() == before
    assert not [line for line in text.splitlines() if line.startswith("# e")]
    assert card(path.parent).data.library_name == "kexue"


def test_folders_of_versions_that_wrote_no_provenance_say_so(tmp_path: Path):
    dev = {"relations_f1": 0.5, "relations_precision": 0.4, "relations_recall": 2 / 3}
    save_checkpoint(replace(tiny_checkpoint(), metrics={"dev": dev}), tmp_path)
    assert "Not recorded by kexue" in (tmp_path / "README.md").read_text("utf-8")
    assert results(tmp_path) == {
        ("validation", "F1 of relations"): 0.5,
        ("validation", "Precision of relations"): 0.4,
        ("validation", "Recall of relations"): 0.6667,
    }
    assert provenance_lines(read_facts(tmp_path)) == ["provenance: not recorded by kexue 0.1.0"]


def test_measures_that_are_not_all_there_are_shown_as_far_as_they_are(tmp_path: Path):
    save_checkpoint(replace(tiny_checkpoint(), metrics={"dev": {"relations_f1": 0.5}}), tmp_path)
    assert results(tmp_path) == {("validation", "F1 of relations"): 0.5}
    assert "| all relations |  |  | 0.500 |  |  |" in (tmp_path / "README.md").read_text("utf-8")


def test_a_folder_that_is_no_model_is_refused(tmp_path: Path):
    with pytest.raises(CheckpointError, match=r"has no kexue\.json, so there is nothing to describe"):
        write_card(tmp_path)


# --- generators and encoders ---


def test_a_generator_gets_a_card(tmp_path: Path):
    values = {"train": "digits", "preset": "tiny", "network": "gau", "epochs": 0.1, "num_samples": 0, "device": "cpu"}
    recipe = GenerationRecipe.from_values(values | {"output": tmp_path / "digits"})
    folder = train_generator(recipe, console=QUIET)
    data = card(folder).data
    assert (data.library_name, data.pipeline_tag) == ("kexue", "unconditional-image-generation")
    assert data.datasets == ["digits"]
    text = (folder / "README.md").read_text("utf-8")
    assert "| train | digits.npz |" in text and "| CC BY 4.0 |" in text
    dev = read_json(folder / "kexue.json")["metrics"]["dev"]
    assert f"held out: {dev['loss']:.4f}" in text
    report = {"frechet_distance": 1.25, "features": "PixelFeatures", "precision": 0.5}
    keep_evaluation(folder, "digits", report | {"bits_per_dim": {"mean": 2.0, "standard_error": 0.1, "num": 8}})
    assert results(folder) == {("test", "Frechet distance (PixelFeatures)"): 1.25}
    assert "| frechet distance | 1.2500 |" in (folder / "README.md").read_text("utf-8")


def test_a_generator_that_diffusers_reads_is_filed_under_diffusers(tmp_path: Path):
    from kexue.diffusion.denoisers import UNet

    torch.manual_seed(0)
    save_generator(GeneratorCheckpoint(UNet.preset("tiny", (1, 8, 8), 0, 0.0)), tmp_path / "unet")
    assert card(tmp_path / "unet").data.library_name == "diffusers"
    save_generator(GeneratorCheckpoint(GAUDenoiser(SIZES)), tmp_path / "gau")
    assert card(tmp_path / "gau").data.library_name == "kexue"


def test_a_pre_trained_encoder_gets_a_card_and_its_lines_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    texts = tmp_path / "texts.txt"
    texts.write_text("\n".join(item.text for item in sentences(80)), "utf-8")
    values = {"encoder": "gau-tiny", "vocab_size": 300, "epochs": 1, "batch_size": 8, "max_length": 64, "device": "cpu"}
    recipe = PretrainingRecipe.from_values(
        values | {"texts": [texts], "output": tmp_path / "encoder", "min_length": 16}
    )
    folder = pretrain(recipe, console=QUIET)
    data = card(folder).data
    assert (data.library_name, data.pipeline_tag, data.language) == ("kexue", "fill-mask", ["en"])
    metrics = read_json(folder / "kexue.json")["metrics"]
    assert results(folder)["validation", "Accuracy"] == round(metrics["dev"]["accuracy"], 4)
    text = (folder / "README.md").read_text("utf-8")
    assert digest(texts) in text
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    monkeypatch.chdir(folder.parent)
    names: dict = {}
    exec(code, names)
    assert names["encoder"].config.model_type == "gau"
    assert json.dumps(read_json(folder / "kexue.json")["provenance"])


def test_documents_that_were_never_files_have_no_digest(tmp_path: Path):
    write_documents([Document("a")], tmp_path / "a.jsonl")
    origin = describe_origin({"train": ["hub:owner/set:train"], "dev": [tmp_path / "gone.jsonl"]}, content="0")
    assert origin["data"] == [{"role": "train", "name": "hub:owner/set:train"}, {"role": "dev", "name": "gone.jsonl"}]
