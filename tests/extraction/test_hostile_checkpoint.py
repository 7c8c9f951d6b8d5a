"""A stranger's extractor is loaded and works, or is refused; nothing in it is run, and nothing vast is made."""

from __future__ import annotations

import json
import pickle
import random
import resource
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from kexue.encoders.loading import load_encoder
from kexue.errors import CheckpointError, KexueError
from kexue.extraction.checkpoint import load_checkpoint, save_checkpoint
from kexue.manifest import MANIFEST
from kexue.pipelines.extractor import Extractor
from tests.extraction.tiny import TEXTS, tiny_checkpoint
from tests.hostile import Explosive, damage_folder, sign

WEIGHTS = "model.safetensors"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "model"
    save_checkpoint(tiny_checkpoint(), folder)
    return folder


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    """A copy to be damaged, in a folder of its own."""
    return Path(shutil.copytree(whole, tmp_path / "box" / "model"))


def use(folder: Path) -> None:
    """Load and extract; what comes out is sound."""
    for document in Extractor(load_checkpoint(folder), device="cpu").extract(TEXTS):
        for span in document.entities:
            assert 0 <= span.start < span.end <= len(document.text)
            assert span.score is not None and 0 <= span.score <= 1


def attack(whole: Path, use: Callable[[Path], None], box: Path, num: int, seed: int) -> tuple[int, int]:
    """Damage copies of a folder and use them; returns how many worked and how many were refused."""
    worked = refused = 0
    (box / "outside").write_text("{}")
    proof = box / "proof"
    for index in range(num):
        chance = random.Random(f"{seed} {index}")
        folder = Path(shutil.copytree(whole, box / "model"))
        done = damage_folder(folder, proof, chance)
        if chance.random() < 0.9:
            sign(folder)
        try:
            use(folder)
            worked += 1
        except KexueError as error:
            assert len(str(error)) < 3000 and str(error).isprintable()
            assert str(folder) in str(error) or not isinstance(error, CheckpointError), str(error)
            refused += 1
        except BaseException as error:
            raise AssertionError(f"seed {seed}, number {index}, {done}: {type(error).__name__}: {error}") from error
        assert not proof.exists(), f"seed {seed}, number {index}, {done}: a pickle was loaded"
        shutil.rmtree(folder)
    return worked, refused


def test_a_damaged_extractor_works_or_is_refused(whole: Path, tmp_path: Path):
    worked, refused = attack(whole, use, tmp_path, 60, seed=0)
    assert worked and refused


@pytest.mark.long
def test_thousands_of_damaged_extractors_work_or_are_refused_in_bounded_memory(whole: Path, tmp_path: Path):
    attack(whole, use, tmp_path, 100, seed=1)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    attack(whole, use, tmp_path, 2500, seed=2)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500 * 1024  # KiB


# --- what no chance would find ---


def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    record = json.loads(path.read_text("utf-8"))
    change(record)
    path.write_text(json.dumps(record), "utf-8")


def rewrite(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    weights = load_file(folder / WEIGHTS)
    change(weights)
    save_file(weights, folder / WEIGHTS, {"format": "pt"})


HUGE: dict[str, Callable[[dict[str, Any]], object]] = {
    "vocabulary": lambda config: config["encoder"].update(vocab_size=2**30),
    "width": lambda config: config["encoder"].update(hidden_size=2**20),
    "layers": lambda config: config["encoder"].update(num_hidden_layers=2**30),
    "head": lambda config: config.update(head_dim=2**30),
    "labels of transformers": lambda config: config.update(num_labels=2**30),
    "labels of the encoder": lambda config: config["encoder"].update(num_labels=2**30),
    "a number that no machine has": lambda config: config["encoder"].update(hidden_size=10**30),
    "infinity": lambda config: config["encoder"].update(hidden_size=float("inf")),
    "another kind of encoder": lambda config: config.update(
        encoder={"model_type": "bert", "hidden_size": 2**16, "num_hidden_layers": 2**16, "num_attention_heads": 1}
    ),
}


@pytest.mark.parametrize("change", HUGE)
def test_a_configuration_that_asks_for_terabytes_is_refused_before_anything_is_allocated(change: str, folder: Path):
    edit(folder / "config.json", HUGE[change])
    sign(folder)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(
        CheckpointError, match=r"which no model has|far larger network|cannot be loaded: .*got float"
    ) as error:
        load_checkpoint(folder)
    assert str(folder) in str(error.value)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 * 1024  # KiB


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda weights: weights.pop(min(weights)), r"does not fit config\.json \(missing keys"),
        (
            lambda weights: weights.update(new=torch.zeros(3)),
            r"does not fit config\.json \(unexpected keys, such as 'new'",
        ),
        (lambda weights: weights.update({min(weights): torch.zeros(3)}), "cannot be loaded: .*size"),
        (lambda weights: next(iter(weights.values())).fill_(torch.nan), "hold NaN or infinity.*take an earlier model"),
        (lambda weights: next(iter(weights.values())).flatten()[:1].fill_(torch.inf), "hold NaN or infinity"),
    ],
)
def test_weights_that_are_not_those_of_the_configuration_are_refused(change: Any, message: str, folder: Path):
    rewrite(folder, change)
    sign(folder)
    with pytest.raises(CheckpointError, match=message) as error:
        load_checkpoint(folder)
    assert str(folder) in str(error.value)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("config.json", lambda config: config.update(head="gplinkr"), "Did you mean 'gplinker'"),
        ("config.json", lambda config: config.update(window="wide"), "window must be a number"),
        ("config.json", lambda config: config.update(window=0), "window must be a number"),
        ("config.json", lambda config: config["encoder"].update(norm_tiny=None), "cannot be loaded"),
        (
            "tokenizer_config.json",
            lambda config: config.update(model_max_length="many"),
            "must be a number, got 'many'",
        ),
        (
            "tokenizer_config.json",
            lambda config: config.update(model_max_length=3),
            "a window of 254 tokens is too wide",
        ),
        ("config.json", lambda config: config.update(attn_implementation="a/b"), "asks for code of the hub"),
        ("config.json", lambda config: config["schema"].update(entity_types="person"), "is not a list of names"),
        ("config.json", lambda config: config["schema"].update(relation_types=[1]), "labels are not written as"),
        (MANIFEST, lambda content: content["decision"].update(entity_threshold="high"), "'entity_threshold' is 'high'"),
        (MANIFEST, lambda content: content["decision"].update(floor=float("nan")), "'floor' is nan"),
        (MANIFEST, lambda content: content["decision"]["entity"].update(weakest=1e308), "'weakest' is 1e.308"),
        (MANIFEST, lambda content: content["decision"].update(thresholds={"born in": 2}), "'born in' is 2"),
        (MANIFEST, lambda content: content.update(metrics=[1]), "cannot be loaded"),
        (MANIFEST, lambda content: content.update(format=["1"]), "is damaged"),
        (MANIFEST, lambda content: content["files"].update({"x" * 5000: "0"}), "is missing"),
        (MANIFEST, lambda content: content["files"].update({"a\0b": "0"}), "is missing"),
        (MANIFEST, lambda content: content["files"].update({"/etc/passwd": "0"}), "is missing"),
    ],
)
def test_a_value_that_cannot_be_is_named_with_its_folder(name: str, change: Any, message: str, folder: Path):
    edit(folder / name, change)
    if name != MANIFEST:
        sign(folder)
    with pytest.raises(CheckpointError, match=message) as error:
        load_checkpoint(folder)
    assert str(folder) in str(error.value)


def test_a_manifest_nested_without_end_is_refused(folder: Path):
    (folder / MANIFEST).write_text("[" * 100_000)
    with pytest.raises(CheckpointError, match="is damaged"):
        load_checkpoint(folder)


@pytest.mark.parametrize("name", [WEIGHTS, "config.json", "tokenizer.json", "notes.txt", "sub/notes.txt"])
def test_a_link_out_of_the_folder_is_refused_wherever_it_leads(name: str, folder: Path):
    outside = folder.parent / "outside"
    (folder / "sub").mkdir()
    path = folder / name
    if path.exists():
        path.replace(outside)
    else:
        outside.write_text("secret")
    path.symlink_to(outside)
    with pytest.raises(CheckpointError, match=f"{name}: is a link that leads out of the folder"):
        load_checkpoint(folder)


def test_links_within_the_cache_of_the_hub_are_followed(folder: Path):
    cache = folder.parent / "models--owner--name"
    snapshot, blobs = cache / "snapshots" / "abc", cache / "blobs"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    for number, path in enumerate(sorted(folder.iterdir())):
        path.replace(blobs / str(number))
        (snapshot / path.name).symlink_to(Path("../../blobs") / str(number))
    use(snapshot)
    (snapshot / "notes").symlink_to("../../refs/main")
    with pytest.raises(CheckpointError, match="notes: is a link"):
        load_checkpoint(snapshot)


def test_a_pickle_in_place_of_anything_is_never_loaded(folder: Path):
    proof = folder.parent / "proof"
    payload = pickle.dumps(Explosive(proof))
    pickle.loads(payload)
    assert proof.exists()  # so it would have been
    proof.unlink()
    for name in ("pytorch_model.bin", "training_args.bin", "optimizer.pt", "model.pt", "vocab.pkl", "rust_model.ot"):
        (folder / name).write_bytes(payload)
    use(folder)
    for name in (WEIGHTS, "config.json", "tokenizer.json", "tokenizer_config.json"):
        content = (folder / name).read_bytes()
        torch.save(Explosive(proof), folder / name)
        sign(folder)
        with pytest.raises(CheckpointError):
            load_checkpoint(folder)
        (folder / name).write_bytes(payload)
        sign(folder)
        with pytest.raises(CheckpointError):
            load_checkpoint(folder)
        (folder / name).write_bytes(content)
    (folder / WEIGHTS).unlink()
    sign(folder)
    with pytest.raises(CheckpointError, match=r"has no model\.safetensors; pickled weights .* are never loaded"):
        load_checkpoint(folder)
    assert not proof.exists()


def test_an_index_of_weights_cannot_lead_out_of_the_folder(folder: Path):
    (folder / WEIGHTS).replace(folder.parent / WEIGHTS)
    names = list(load_file(folder.parent / WEIGHTS))
    (folder / "model.safetensors.index.json").write_text(
        json.dumps({"metadata": {}, "weight_map": dict.fromkeys(names, f"../{WEIGHTS}")})
    )
    sign(folder)
    with pytest.raises(CheckpointError, match=r"lists '\.\./model\.safetensors', which is no file of this folder"):
        load_checkpoint(folder)


# --- encoders ---


def encoder_folder(folder: Path) -> Path:
    made = tiny_checkpoint()
    made.model.encoder.save_pretrained(folder)
    made.tokenizer.save_pretrained(folder)
    return folder


@torch.inference_mode()
def encode(folder: Path) -> None:
    model, tokenizer = load_encoder(folder)
    ids = torch.tensor([tokenizer(TEXTS[0])["input_ids"]])
    assert np.isfinite(model.eval()(ids).last_hidden_state.numpy()).all()


def test_a_damaged_encoder_works_or_is_refused(tmp_path: Path):
    worked, refused = attack(encoder_folder(tmp_path / "whole"), encode, tmp_path, 60, seed=0)
    assert worked and refused


@pytest.mark.long
def test_thousands_of_damaged_encoders_work_or_are_refused(tmp_path: Path):
    attack(encoder_folder(tmp_path / "whole"), encode, tmp_path, 2500, seed=1)


def test_an_encoder_whose_configuration_asks_for_terabytes_is_refused(tmp_path: Path):
    folder = encoder_folder(tmp_path / "encoder")
    edit(folder / "config.json", lambda config: config.update(hidden_size=2**24))
    with pytest.raises(CheckpointError, match=r"encoder/model\.safetensors: .*far larger network"):
        load_encoder(folder)
