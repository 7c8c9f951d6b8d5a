"""A model's folder: the same model comes back, transformers can read it, and damage is told apart."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch
from transformers import AutoConfig, AutoModel, AutoTokenizer

from kexue import manifest
from kexue.cards import writing
from kexue.encoders.windows import collate
from kexue.errors import CheckpointError
from kexue.extraction.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from kexue.extraction.decision import Confidence, Decision
from kexue.extraction.model import ExtractionConfig, ExtractionModel
from kexue.manifest import MANIFEST
from tests.extraction.tiny import SCHEMA, TEXTS, tiny_checkpoint

DECISION = Decision(-3.0, Confidence(1.5, 0.5, -1.0), entity_threshold=0.4, thresholds={"born in": 0.7})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tiny_checkpoint()
    checkpoint = Checkpoint(made.model, made.tokenizer, DECISION, {"seed": 1}, {"dev": {"relations_f1": 0.5}})
    save_checkpoint(checkpoint, tmp_path / "model")
    return tmp_path / "model"


def states(model: ExtractionModel, checkpoint: Checkpoint) -> torch.Tensor:
    tokenizer = checkpoint.text_tokenizer
    return model.hidden_states(collate(tokenizer(TEXTS), tokenizer, window=8, overlap=2))


@torch.inference_mode()
def test_the_same_model_comes_back(folder: Path):
    before, after = tiny_checkpoint(), load_checkpoint(folder)
    ours, theirs = before.model.state_dict(), after.model.state_dict()
    assert ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert torch.equal(states(before.model, before), states(after.model, after))
    assert not after.model.training
    assert after.schema == after.model.head.labels.schema == SCHEMA
    assert (after.decision, after.recipe, after.metrics) == (DECISION, {"seed": 1}, {"dev": {"relations_f1": 0.5}})


@torch.inference_mode()
def test_transformers_reads_the_folder_by_itself(folder: Path):
    checkpoint = load_checkpoint(folder)
    assert isinstance(AutoConfig.from_pretrained(folder), ExtractionConfig)
    model, report = AutoModel.from_pretrained(folder, output_loading_info=True)
    assert isinstance(model, ExtractionModel) and not any(report[kind] for kind in ("missing_keys", "unexpected_keys"))
    assert torch.equal(states(model, checkpoint), states(checkpoint.model, checkpoint))
    ids = AutoTokenizer.from_pretrained(folder)(TEXTS[0], add_special_tokens=False)["input_ids"]
    assert ids == checkpoint.text_tokenizer([TEXTS[0]])[0].ids


def test_the_fingerprint_changes_with_any_file(folder: Path, tmp_path: Path):
    made = tiny_checkpoint()
    save_checkpoint(Checkpoint(made.model, made.tokenizer, DECISION, {"seed": 2}), tmp_path / "other")
    first, again, other = (load_checkpoint(path).fingerprint for path in (folder, folder, tmp_path / "other"))
    assert first == again != other and len(first) == 64


def test_only_safe_files_are_written(folder: Path):
    assert {path.suffix for path in folder.iterdir()} <= {".json", ".safetensors", ".md"}
    assert not any(path.name.startswith(".") for path in folder.iterdir())


def test_a_model_replaces_another_in_its_folder(folder: Path):
    made = tiny_checkpoint()
    with torch.no_grad():
        made.model.head.spans.project.weight.zero_()
    save_checkpoint(made, folder)
    assert not load_checkpoint(folder).model.head.spans.project.weight.any()


@pytest.mark.parametrize(
    ("owner", "place"),
    [(writing, "atomic_folder"), (manifest, "write_json"), (manifest, "digest")],
    ids=lambda it: str(it),
)
def test_a_model_that_could_not_be_written_is_not_taken_for_the_old_one(
    owner: ModuleType, place: str, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    before = load_checkpoint(folder).fingerprint

    def fail(*arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(owner, place, fail)
        save_checkpoint(tiny_checkpoint(), folder)
    if (folder / MANIFEST).exists():
        assert load_checkpoint(folder).fingerprint == before
    save_checkpoint(tiny_checkpoint(), folder)
    assert load_checkpoint(folder).fingerprint != before


# --- damage ---


def test_a_folder_of_the_other_job_is_refused(folder: Path):
    edit(folder / MANIFEST, lambda record: record.update(kind="generator"))
    with pytest.raises(CheckpointError, match="holds a generator, not an extractor"):
        load_checkpoint(folder)


def edit(path: Path, change: Callable[[dict], object]) -> None:
    record = json.loads(path.read_text("utf-8"))
    change(record)
    path.write_text(json.dumps(record), "utf-8")


def flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "weights missing": (
        lambda folder: (folder / "model.safetensors").unlink(),
        "the file model.safetensors is missing",
    ),
    "one bit of the weights": (lambda folder: flip(folder / "model.safetensors", -5), "model.safetensors: is damaged"),
    "one bit of the tokenizer": (lambda folder: flip(folder / "tokenizer.json", 100), "tokenizer.json: is damaged"),
    "weights cut": (
        lambda folder: (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:-1]),
        "model.safetensors: is damaged",
    ),
    "another configuration": (
        lambda folder: edit(folder / "config.json", lambda record: record.update(head_dim=8)),
        "config.json: is damaged",
    ),
    "no manifest": (lambda folder: (folder / MANIFEST).unlink(), "has no kexue.json, so it is not a finished"),
    "half a manifest": (lambda folder: (folder / MANIFEST).write_text('{"format": [1'), "kexue.json: is damaged"),
    "a list as manifest": (lambda folder: (folder / MANIFEST).write_text("[]"), "kexue.json: is damaged"),
    "no files": (lambda folder: edit(folder / MANIFEST, lambda record: record.pop("files")), "is damaged"),
    "no decision": (lambda folder: edit(folder / MANIFEST, lambda record: record.pop("decision")), "cannot be loaded"),
    "an odd decision": (
        lambda folder: edit(folder / MANIFEST, lambda record: record["decision"].update(new=1)),
        "cannot be loaded",
    ),
    "a way out of the folder": (
        lambda folder: edit(folder / MANIFEST, lambda record: record["files"].update({"../secret": "0"})),
        "the file ../secret is missing",
    ),
    "a newer version": (
        lambda folder: edit(folder / MANIFEST, lambda record: record.update(format=[2, 0], kexue="9.0")),
        "was written by kexue 9.0 in checkpoint format 2",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_named_with_its_file(damage: str, folder: Path):
    harm, said = DAMAGES[damage]
    harm(folder)
    with pytest.raises(CheckpointError) as error:
        load_checkpoint(folder)
    assert said in str(error.value) and str(folder) in str(error.value)


def test_a_newer_minor_version_is_read(folder: Path):
    edit(folder / MANIFEST, lambda record: record.update(format=[1, 7]))
    assert load_checkpoint(folder).schema == SCHEMA


def test_a_folder_that_is_none_is_named(tmp_path: Path):
    (tmp_path / "file").touch()
    for name in ("none", "file"):
        with pytest.raises(CheckpointError, match=rf"{name}: there is no such folder"):
            load_checkpoint(tmp_path / name)


def test_an_unfinished_training_is_told_from_a_folder_of_something_else(tmp_path: Path):
    (tmp_path / "training").mkdir()
    with pytest.raises(CheckpointError, match="an unfinished training: finish it"):
        load_checkpoint(tmp_path)


class Explosive:
    """Unpickled, it raises."""

    def __reduce__(self) -> tuple:
        return exec, ("raise SystemExit('a pickle was loaded')",)


def test_no_pickle_is_ever_loaded(folder: Path):
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Explosive()))
    assert load_checkpoint(folder).schema == SCHEMA
    (folder / "model.safetensors").unlink()
    edit(folder / MANIFEST, lambda record: record["files"].pop("model.safetensors"))
    with pytest.raises(CheckpointError):
        load_checkpoint(folder)


def test_no_code_in_the_folder_is_ever_run(folder: Path):
    (folder / "evil.py").write_text("raise SystemExit('code was run')")
    config = json.loads((folder / "tokenizer_config.json").read_text("utf-8"))
    config["auto_map"] = {"AutoTokenizer": ["evil.Tokenizer", "evil.Tokenizer"]}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    edit(folder / MANIFEST, lambda record: record["files"].pop("tokenizer_config.json"))
    assert load_checkpoint(folder).text_tokenizer(["Marie"])[0].ids


@pytest.mark.slow
def test_a_process_that_only_imports_transformers_and_the_model_reads_the_folder(folder: Path):
    code = (
        "import sys, kexue.extraction.model; from transformers import AutoModel; "
        "print(type(AutoModel.from_pretrained(sys.argv[1])).__name__)"
    )
    run = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "ExtractionModel"
