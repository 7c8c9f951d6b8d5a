"""From a recipe to a generator in a folder: what is written, refused, resumed after SIGKILL, shared by processes."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file
from torch.testing import assert_close

from kexue.diffusion.checkpoint import holds_generator, load_generator
from kexue.diffusion.denoisers import DENOISERS
from kexue.diffusion.images import PixelScale, read_images
from kexue.errors import OptionError, TrainingError
from kexue.training.generation.run import train
from tests.training.generation import killed
from tests.training.generation.tiny import TinyGAU, recipe, save_digits, values
from tests.training.tiny import read_json

QUIET = Console(quiet=True)
WEIGHTS = "network/model.safetensors"


@pytest.fixture(autouse=True)
def tiny_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(DENOISERS, "gau", TinyGAU)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_digits(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def unbroken(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("unbroken") / "model"
    assert killed.run(values(data, output)) == 0
    return output


def logged(output: Path) -> list[dict[str, float]]:
    return [entry for entry in read_json(Path(f"{output}.log.json")) if "train_runtime" not in entry]


def assert_same(output: Path, unbroken: Path) -> None:
    assert logged(output) == logged(unbroken)
    assert (output / WEIGHTS).read_bytes() == (unbroken / WEIGHTS).read_bytes()
    ours, theirs = read_json(output / "kexue.json"), read_json(unbroken / "kexue.json")
    assert ours["metrics"]["dev"] == theirs["metrics"]["dev"]


def test_the_folder_holds_a_generator_its_recipe_its_measures_and_its_pictures(unbroken: Path, data: Path):
    assert holds_generator(unbroken)
    checkpoint = load_generator(unbroken)
    assert checkpoint.recipe["train"] == str(data)
    assert checkpoint.metrics["steps"] == 13
    assert checkpoint.scale == PixelScale(16)
    assert len([name for name in checkpoint.metrics["dev"] if name.startswith("loss_t")]) == 10
    entries = logged(unbroken)
    assert [entry["step"] for entry in entries if "eval_loss" in entry] == [5, 10, 13]
    names = sorted(path.name for path in (unbroken / "samples").iterdir())
    assert names == ["step-0000005.png", "step-0000010.png", "step-0000013.png"]
    assert read_images(unbroken / "samples").shape == (1, 134, 134)
    assert list(unbroken.rglob("events.out.*"))


@pytest.mark.parametrize(
    "moment",
    [
        ("take in a step", 4),
        pytest.param(("take in a step", 12), marks=pytest.mark.slow),
        ("save the random state", 2),
        pytest.param(("declare a checkpoint complete", 1), marks=pytest.mark.slow),
        pytest.param(("measure", 2), marks=pytest.mark.slow),
        pytest.param(("show samples", 1), marks=pytest.mark.slow),
        ("write the manifest", 1),
    ],
    ids=lambda moment: f"{moment[0]} {moment[1]}",
)
def test_a_training_killed_about_to(moment: killed.Moment, data: Path, unbroken: Path, tmp_path: Path):
    chosen = values(data, tmp_path / "model")
    assert killed.run(chosen, moment) == -signal.SIGKILL
    assert not holds_generator(tmp_path / "model")
    assert killed.run(chosen) == 0
    assert_same(tmp_path / "model", unbroken)
    assert {path.name for path in (tmp_path / "model" / "training").iterdir()} <= {"runs"}


@pytest.mark.slow
def test_two_processes_train_as_one(data: Path, tmp_path: Path):
    for processes in (1, 2):
        output = tmp_path / str(processes)
        chosen = values(data, output, batch_size=8, dropout=0.0, max_grad_norm=1e6, conditional=True, flip=True)
        assert killed.run(chosen, processes=processes) == 0
    one, two = (load_file(tmp_path / str(processes) / WEIGHTS) for processes in (1, 2))
    assert_close(two, one, rtol=1e-3, atol=1e-5)
    one, two = (load_generator(tmp_path / str(processes)) for processes in (1, 2))
    assert two.metrics["steps"] == one.metrics["steps"]
    assert two.metrics["dev"]["loss"] == pytest.approx(one.metrics["dev"]["loss"], rel=1e-3)
    assert two.label_names == tuple("0123456789")


def test_a_finished_model_is_not_replaced_unless_asked_for(data: Path, tmp_path: Path):
    chosen = recipe(data, tmp_path / "model", epochs=1)
    train(chosen, console=QUIET)
    with pytest.raises(OptionError, match="already holds a finished model"):
        train(chosen, console=QUIET)
    train(recipe(data, tmp_path / "model", epochs=1, conditional=True), console=QUIET, overwrite=True)
    assert load_generator(tmp_path / "model").network.num_classes == 10


@pytest.mark.parametrize("change", [{"accumulation": 2}, {"checkpointing": True}, {"precision": "bfloat16"}])
def test_a_training_learns_however_it_computes(data: Path, tmp_path: Path, change: dict[str, Any]):
    names = {"accumulation": "gradient_accumulation", "checkpointing": "gradient_checkpointing"}
    changes = {names.get(name, name): value for name, value in change.items()}
    chosen = recipe(data, tmp_path / "model", epochs=8, num_samples=0, ema=0.5, **changes)
    train(chosen, console=QUIET)
    assert load_generator(tmp_path / "model").metrics["dev"]["loss"] < 0.9
    assert not (tmp_path / "model" / "samples").exists()


def test_a_loss_that_is_no_number_ends_the_training(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(TinyGAU, "forward", lambda self, x, t, labels=None: self.output.weight.sum() * x * torch.nan)
    with pytest.raises(TrainingError, match="the loss is nan"):
        train(recipe(data, tmp_path / "model"), console=QUIET)
