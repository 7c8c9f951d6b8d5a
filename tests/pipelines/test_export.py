"""An exported extractor finds the same facts as the one it was made from, says what it was made from, and is refused
what it cannot do."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from kexue import manifest
from kexue.cards.readme import EVALUATIONS
from kexue.encoders import exporting
from kexue.errors import CheckpointError, OptionError
from kexue.extraction import exported as extraction_exported
from kexue.extraction.checkpoint import ENCODER, HEAD, Checkpoint, load_checkpoint, load_exported, save_checkpoint
from kexue.extraction.decision import Decision
from kexue.extraction.document import Document
from kexue.extraction.exported import write_exported
from kexue.extraction.formats import read_documents
from kexue.extraction.heads import HEADS
from kexue.manifest import MANIFEST
from kexue.pipelines import export as pipeline
from kexue.pipelines.evaluation import predict_and_judge
from kexue.pipelines.export import export_extractor
from kexue.pipelines.extractor import Extractor
from tests.extraction.heads.fitting import DOCUMENTS, untrained
from tests.training.tiny import read_json, sentences

pytestmark = pytest.mark.usefixtures("unchecked")
GOLD = sentences(10)
TEXTS = [item.text for item in GOLD]
ODD = ["", " ", "\ud800", "🙂 " * 30, "字" * 200]


def assert_same_facts(ours: list[Document], theirs: list[Document], within: float = 1e-4) -> None:
    """Spans, labels, constraints and what was cut are equal, and every confidence nearly."""
    for left, right in zip(ours, theirs, strict=True):
        assert left.to_json().keys() == right.to_json().keys() and left.meta == right.meta
        for kind in ("entities", "relations", "events"):
            first, second = getattr(left, kind), getattr(right, kind)
            assert first == second
            assert [fact.score for fact in first] == pytest.approx([fact.score for fact in second], abs=within)


@pytest.fixture(scope="module")
def exported(fitted: Path, unchecked: None) -> Path:
    return export_extractor(fitted, fitted.parent / "onnx").folder


@pytest.fixture(scope="module")
def in_int8(fitted: Path, unchecked: None) -> Path:
    return export_extractor(fitted, fitted.parent / "int8", int8=True, dev=GOLD).folder


# --- the same results ---


def test_an_exported_extractor_finds_the_same_facts_with_the_same_confidences(exported: Path, extractor: Extractor):
    ours = Extractor.from_pretrained(exported)
    texts = [*TEXTS, *ODD, " ".join(TEXTS)]  # windows of 12 tokens: most texts have several
    assert_same_facts(ours.extract(texts), extractor.extract(texts))
    assert_same_facts([ours(text) for text in texts], extractor.extract(texts))
    assert sum(len(document.relations) for document in ours.extract(texts)) > 20


def test_thresholds_precision_and_constraints_mean_the_same(exported: Path, extractor: Extractor):
    ours = Extractor.from_pretrained(exported)
    assert (ours.decision, ours.schema, ours.recipe) == (extractor.decision, extractor.schema, extractor.recipe)
    for view in (
        lambda each: each.with_threshold(0.0),
        lambda each: each.with_precision(0.95),
        lambda each: each.with_schema({"causes": {"functional": True}}),
    ):
        assert_same_facts(view(ours).extract(TEXTS), view(extractor).extract(TEXTS))


def test_measuring_gives_the_same(exported: Path, extractor: Extractor):
    ours, theirs = (predict_and_judge(each, GOLD) for each in (Extractor.from_pretrained(exported), extractor))
    assert_same_facts(ours[0], theirs[0])
    for kind, errors in theirs[1]["calibration_error"].items():
        assert ours[1]["calibration_error"][kind] == pytest.approx(errors, abs=1e-4)


@pytest.fixture(scope="module")
def encoder_file(tmp_path_factory: pytest.TempPathFactory, unchecked: None) -> Path:
    """The encoder that every untrained model has."""
    path = tmp_path_factory.mktemp("encoder") / ENCODER
    exporting.export_encoder(untrained("gplinker", sentences(4)).model.encoder, path)
    return path


@pytest.mark.parametrize("name", HEADS)
def test_every_head_is_exported(name: str, encoder_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    checkpoint = untrained(name, DOCUMENTS[HEADS[name].task](4)).checkpoint
    for weight in checkpoint.model.head.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    monkeypatch.setattr(extraction_exported, "export_encoder", lambda _, path: shutil.copy(encoder_file, path))
    write_exported(checkpoint, tmp_path)
    decision = Decision(floor=-1.0, entity_threshold=0.4)
    theirs = Extractor(replace(checkpoint, decision=decision), device="cpu")
    model = load_exported(tmp_path, checkpoint.model.config)
    ours = Extractor(Checkpoint(model, checkpoint.tokenizer, decision, exported={"precision": "float32"}))
    found = ours.with_threshold(0.3).extract(TEXTS[:4])
    assert_same_facts(found, theirs.with_threshold(0.3).extract(TEXTS[:4]))
    assert any(document.entities or document.events for document in found)


@pytest.mark.long
def test_a_real_model_finds_the_same_on_a_real_test_set(shared_data: Path, tmp_path: Path):
    """KEXUE_MODEL is the folder of a model that was trained on PHEE, as `kexue demo` writes one."""
    if "KEXUE_MODEL" not in os.environ:
        pytest.skip("KEXUE_MODEL names no trained model")
    model, gold = os.environ["KEXUE_MODEL"], read_documents(shared_data / "phee" / "test.json").documents
    ours = Extractor.from_pretrained(export_extractor(model, tmp_path / "onnx").folder)
    theirs = Extractor.from_pretrained(model, device="cpu")
    assert_same_facts(ours.extract(gold), theirs.extract(gold))


# --- int8 ---


def test_int8_finds_what_was_learnt_and_has_thresholds_of_its_own(in_int8: Path, extractor: Extractor):
    ours = Extractor.from_pretrained(in_int8)
    assert_same_facts(ours.extract(TEXTS), extractor.extract(TEXTS), within=0.05)
    assert ours.decision.relation != extractor.decision.relation  # fitted anew
    assert ours.decision.floor == extractor.decision.floor
    assert ours.decision.wanted.keys() == extractor.decision.wanted.keys()
    assert 1e-4 < ours.exported["difference"] < 0.5


def test_the_result_in_int8_does_not_depend_on_neighbours(in_int8: Path):
    ours = Extractor.from_pretrained(in_int8)
    assert_same_facts(ours.extract(TEXTS), [ours(text) for text in TEXTS])


def test_the_loss_on_dev_is_stated_in_the_report_and_in_the_manifest(fitted: Path, tmp_path: Path):
    dev = sentences(16)
    done = export_extractor(fitted, tmp_path / "int8", int8=True, dev=dev)
    assert done.before.keys() == done.after.keys() == {"entities", "relations"}
    for scores, folder in ((done.before, fitted), (done.after, done.folder)):
        extractor = Extractor.from_pretrained(folder, device="cpu")
        assert scores == pipeline.f1_of(dev, extractor.extract(dev), extractor.schema)
    said = read_json(done.folder / MANIFEST)
    assert said["exported"]["dev"] == {"before": done.before, "after": done.after}
    assert {kind: said["metrics"]["dev_report"][kind]["f1"] for kind in done.after} == done.after
    assert said["metrics"]["dev"]["relations_f1"] != read_json(fitted / MANIFEST)["metrics"]["dev"]["relations_f1"]


# --- the folder ---


def test_the_folder_says_what_it_was_made_from_and_holds_nothing_else(exported: Path, fitted: Path):
    said = read_json(exported / MANIFEST)
    assert said["exported"]["from"] == manifest.digest(fitted / MANIFEST)
    assert said["exported"]["precision"] == "float32" and said["exported"]["difference"] < 1e-4
    assert said["exported"]["versions"].keys() == {"torch", "onnx", "onnxruntime"}
    source = read_json(fitted / MANIFEST)
    assert all(said[key] == source[key] for key in ("kind", "decision", "recipe", "metrics", "provenance"))
    assert {*said["files"], MANIFEST, "README.md"} == {path.name for path in exported.iterdir()}
    assert {ENCODER, HEAD} <= said["files"].keys() and "model.safetensors" not in said["files"]


def test_a_damaged_encoder_is_refused(exported: Path, tmp_path: Path):
    folder = Path(shutil.copytree(exported, tmp_path / "copy"))
    content = bytearray((folder / ENCODER).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / ENCODER).write_bytes(content)
    with pytest.raises(CheckpointError, match=r"encoder\.onnx: is damaged"):
        load_checkpoint(folder)


@pytest.mark.parametrize("name", [ENCODER, HEAD])
def test_a_missing_file_is_named(name: str, exported: Path, tmp_path: Path):
    folder = Path(shutil.copytree(exported, tmp_path / "copy"))
    (folder / name).unlink()
    with pytest.raises(CheckpointError, match=f"the file {name} is missing"):
        load_checkpoint(folder)


def test_a_head_of_another_model_is_refused(exported: Path, tmp_path: Path):
    folder = Path(shutil.copytree(exported, tmp_path / "copy"))
    record = json.loads((folder / "config.json").read_text("utf-8"))
    (folder / "config.json").write_text(json.dumps(record | {"head_dim": 8}))
    said = read_json(folder / MANIFEST)
    said["files"].pop("config.json")
    (folder / MANIFEST).write_text(json.dumps(said))
    with pytest.raises(CheckpointError, match=r"(?s)cannot be loaded: .*size mismatch"):
        load_checkpoint(folder)


def test_transformers_does_not_take_the_folder_for_one_of_its_own(exported: Path):
    """It would begin with random weights in the encoder, and say so in a warning only."""
    from transformers import AutoModel

    with pytest.raises(OSError, match=r"model\.safetensors"):
        AutoModel.from_pretrained(exported)


def test_an_export_that_fails_leaves_the_model_that_was_there(
    exported: Path, fitted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    folder = Path(shutil.copytree(exported, tmp_path / "copy"))
    before = load_checkpoint(folder).fingerprint

    def fail(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(pipeline, "write_exported", fail)
    with pytest.raises(KeyboardInterrupt):
        export_extractor(fitted, folder, overwrite=True)
    assert load_checkpoint(folder).fingerprint == before
    assert not [path.name for path in folder.iterdir() if path.name.startswith(".")]


# --- what is refused ---


@pytest.mark.parametrize(
    ("options", "said"),
    [({"dtype": "bfloat16"}, "not in bfloat16"), ({"compile": True}, "not compiled"), ({"device": "meta"}, "on meta")],
)
def test_options_of_torch_are_refused_for_an_exported_model(options: dict, said: str, exported: Path):
    with pytest.raises(OptionError, match=f"runs in onnxruntime on the CPU and {said}|{said}"):
        Extractor.from_pretrained(exported, **options)


def test_an_exported_model_is_neither_exported_nor_saved_again(exported: Path, tmp_path: Path):
    with pytest.raises(OptionError, match="is an exported model already"):
        export_extractor(exported, tmp_path / "again")
    with pytest.raises(OptionError, match="an exported model cannot be saved"):
        save_checkpoint(load_checkpoint(exported), tmp_path / "again")
    with pytest.raises(OptionError, match="an exported model cannot be saved"):
        Extractor.from_pretrained(exported).save_pretrained(tmp_path / "again")
    assert not (tmp_path / "again").exists()


def test_a_folder_with_a_model_in_it_is_replaced_only_where_asked(exported: Path, fitted: Path, tmp_path: Path):
    folder = Path(shutil.copytree(exported, tmp_path / "copy"))
    with pytest.raises(OptionError, match="already holds a model"):
        export_extractor(fitted, folder, int8=True)
    for name in ("README.md", EVALUATIONS):
        (folder / name).write_text("of the model before", "utf-8")
    assert (
        load_checkpoint(export_extractor(fitted, folder, int8=True, overwrite=True).folder).exported["precision"]
        == "int8"
    )
    assert "<!-- kexue begin" in (folder / "README.md").read_text("utf-8")
    assert not (folder / EVALUATIONS).exists()
    with pytest.raises(OptionError, match="is the model itself"):
        export_extractor(fitted, fitted, overwrite=True)
