"""Regularised trainings that are killed and begun again, or shared by two processes."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

from tests.training import killed
from tests.training.test_resume import assert_same
from tests.training.tiny import read_json, save_data

CHANGES: dict[str, Any] = {
    "epochs": 2,
    "batch_size": 4,
    "gradient_accumulation": 2,
    "ema": 0.9,
    "packing": 0.1,
    "save_steps": 2,
    "head_dim": 16,
    "precision": "float32",
    "device": "cpu",
}


@pytest.mark.parametrize("regularizer", [["rdrop", "vat"], pytest.param(["fgm", "pgd"], marks=pytest.mark.long)])
def test_a_regularized_training_that_was_killed_ends_as_an_unbroken_one(
    encoder: Path, tmp_path: Path, regularizer: list[str]
):
    values = {"encoder": str(encoder), "regularizer": regularizer} | save_data(tmp_path) | CHANGES
    assert killed.run(values | {"output": tmp_path / "unbroken"}) == 0
    assert killed.run(values | {"output": tmp_path / "killed"}, ("take in a step", 5)) == -signal.SIGKILL
    assert killed.run(values | {"output": tmp_path / "killed"}) == 0
    assert_same(tmp_path / "killed", tmp_path / "unbroken")


@pytest.mark.slow
def test_two_processes_are_regularized_as_one(plain_encoder: Path, tmp_path: Path):
    data = save_data(tmp_path, train=24)
    logs = []
    for processes in (1, 2):
        values = {"encoder": str(plain_encoder), "regularizer": ["fgm"], "hidden_dropout": 0.0} | data | CHANGES
        values |= {"packing": 0.0, "output": tmp_path / str(processes)}
        assert killed.run(values, processes=processes) == 0
        logs.append([e["loss"] for e in read_json(tmp_path / f"{processes}.log.json") if "loss" in e])
    assert logs[0] == pytest.approx(logs[1], rel=1e-3)


@pytest.mark.long
@pytest.mark.parametrize("regularizer", [["rdrop", "vat", "pgd"]])
def test_two_processes_go_on_where_they_were_killed(encoder: Path, tmp_path: Path, regularizer: list[str]):
    values = {"encoder": str(encoder), "regularizer": regularizer} | save_data(tmp_path, train=24) | CHANGES
    assert killed.run(values | {"output": tmp_path / "unbroken"}, processes=2) == 0
    assert killed.run(values | {"output": tmp_path / "killed"}, ("take in a step", 4), 2) == -signal.SIGKILL
    assert killed.run(values | {"output": tmp_path / "killed"}, processes=2) == 0
    assert_same(tmp_path / "killed", tmp_path / "unbroken")
