"""A training killed at any moment and begun again ends as an unbroken one, bit for bit."""

from __future__ import annotations

import random
import signal
from pathlib import Path
from typing import Any

import pytest

from kexue.manifest import MANIFEST
from tests.training import killed
from tests.training.tiny import read_json, save_data

CHANGES: dict[str, Any] = {
    "epochs": 2.5,
    "batch_size": 2,
    "gradient_accumulation": 2,
    "ema": 0.9,
    "packing": 0.1,
    "save_steps": 5,  # of 10 in an epoch: within it and at its end; the loss is logged every 2
}
FINISHED = ("model.safetensors", "config.json", "tokenizer.json")


@pytest.fixture(scope="module")
def values(encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    data = save_data(tmp_path_factory.mktemp("data"), train=42)
    return {"encoder": str(encoder), "head_dim": 16, "precision": "float32", "device": "cpu"} | data | CHANGES


@pytest.fixture(scope="module")
def unbroken(values: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("unbroken") / "model"
    assert killed.run(values | {"output": output}) == 0
    return output


def logged(output: Path) -> list[dict[str, float]]:
    """Losses, rates and dev scores of all steps, without the summary of the running time."""
    return [entry for entry in read_json(Path(f"{output}.log.json")) if "train_runtime" not in entry]


def assert_same(output: Path, unbroken: Path) -> None:
    assert logged(output) == logged(unbroken)
    for name in FINISHED:
        assert (output / name).read_bytes() == (unbroken / name).read_bytes(), name
    ours, theirs = read_json(output / "kexue.json"), read_json(unbroken / "kexue.json")
    assert ours["decision"] == theirs["decision"]
    assert ours["metrics"]["dev"] == theirs["metrics"]["dev"]


def test_an_unbroken_training_logs_its_losses_and_measures_every_epoch(unbroken: Path):
    entries = logged(unbroken)
    steps = [entry["step"] for entry in entries if "loss" in entry]
    assert steps == [2, 4, 5, 6, 8, 10, 12, 14, 15, 16, 18, 20, 22, 24, 25]
    assert [entry["step"] for entry in entries if "eval_relations_f1" in entry] == [10, 20, 25]


@pytest.mark.slow
@pytest.mark.parametrize(
    "moment",
    [
        ("take in a step", 7),
        ("take in a step", 17),
        ("keep the best", 1),
        ("save the random state", 2),
        ("save the average", 1),
        ("declare a checkpoint complete", 3),
        ("discard a checkpoint", 4),
        ("judge dev", 4),
        ("decide", 1),
        ("write the model", 1),
        ("write the manifest", 1),
    ],
    ids=lambda moment: f"{moment[0]} {moment[1]}",
)
def test_a_training_killed_about_to(moment: killed.Moment, values: dict[str, Any], unbroken: Path, tmp_path: Path):
    values = values | {"output": tmp_path / "model"}
    assert killed.run(values, moment) == -signal.SIGKILL
    assert killed.run(values) == 0
    assert_same(tmp_path / "model", unbroken)
    assert {path.name for path in (tmp_path / "model" / "training").iterdir()} <= {"runs"}


def test_a_training_killed_again_and_again_ends_like_an_unbroken_one(
    values: dict[str, Any], unbroken: Path, tmp_path: Path
):
    values = values | {"output": tmp_path / "model"}
    for moment in (("take in a step", 7), ("save the random state", 1), ("judge dev", 1), ("take in a step", 9)):
        assert killed.run(values, moment) == -signal.SIGKILL
    assert killed.run(values) == 0
    assert_same(tmp_path / "model", unbroken)


@pytest.mark.slow
def test_a_training_killed_from_outside_at_random_times_ends_like_an_unbroken_one(
    values: dict[str, Any], unbroken: Path, tmp_path: Path
):
    values = values | {"output": tmp_path / "model"}
    while not (tmp_path / "model" / MANIFEST).exists():
        process = killed.start(values)
        process.join(random.uniform(0.1, 2.0))
        process.kill()
        process.join()
        assert process.exitcode in (0, -signal.SIGKILL)
    assert_same(tmp_path / "model", unbroken)


@pytest.mark.slow
def test_two_processes_go_on_where_they_were_killed(values: dict[str, Any], tmp_path: Path):
    unbroken, broken = ({**values, "output": tmp_path / name} for name in ("unbroken", "broken"))
    assert killed.run(unbroken, processes=2) == 0
    assert killed.run(broken, ("take in a step", 18), processes=2) == -signal.SIGKILL
    assert killed.run(broken, processes=2) == 0
    assert_same(broken["output"], unbroken["output"])
