"""From a recipe to a model in a folder: what is written, refused, resumed and overwritten."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from kexue.errors import DataError, OptionError
from kexue.extraction.checkpoint import load_checkpoint
from kexue.extraction.formats import read_documents, write_documents
from kexue.manifest import MANIFEST
from kexue.pipelines.evaluation import predict_and_judge
from kexue.pipelines.extractor import Extractor
from kexue.training import course
from kexue.training.arguments import training_arguments
from kexue.training.extraction import run as run_module
from kexue.training.extraction.run import train
from kexue.training.memory import MEMORY
from tests.training.tiny import read_json, save_data, sentences, tiny_recipe

QUIET = Console(quiet=True)


class InterruptionError(Exception):
    pass


@pytest.fixture(scope="module")
def trained(encoder: Path, data: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(tiny_recipe(encoder, data, tmp_path_factory.mktemp("trained") / "model"), console=QUIET)


def interrupt(monkeypatch: pytest.MonkeyPatch, recipe: Any) -> None:
    """Train up to the last step, and stop before the model is written."""

    def stop(*arguments: Any) -> None:
        raise InterruptionError

    with monkeypatch.context() as patch, pytest.raises(InterruptionError):
        patch.setattr(run_module, "_finish", stop)
        train(recipe, console=QUIET)


def test_the_folder_holds_a_model_its_recipe_and_its_scores(trained: Path, data: dict[str, Path]):
    checkpoint = load_checkpoint(trained)
    assert checkpoint.recipe["train"] == str(data["train"])
    assert checkpoint.metrics["steps"] == 12
    assert set(checkpoint.metrics["dev"]) == {
        f"{kind}_{name}" for kind in ("relations", "entities") for name in ("precision", "recall", "f1")
    }


def test_the_dev_scores_are_those_of_the_weights_in_the_folder(trained: Path, data: dict[str, Path]):
    extractor = Extractor.from_pretrained(trained, device="cpu")
    gold = read_documents(data["dev"]).documents
    _, extra = predict_and_judge(extractor, gold)
    assert extra["calibration_error"] == extractor.metrics["dev_calibration_error"]


def test_tensorboard_finds_its_events(trained: Path):
    pytest.importorskip("tensorboard")
    assert len(list((trained / "training").rglob("events.out.tfevents.*"))) == 1


def test_nothing_that_only_a_resumed_training_needs_is_left(trained: Path):
    assert {path.name for path in (trained / "training").iterdir()} <= {"runs"}


def test_a_folder_with_a_finished_model_is_refused_unless_it_is_to_be_overwritten(
    trained: Path, encoder: Path, data: dict[str, Path], tmp_path: Path
):
    recipe = tiny_recipe(encoder, data, trained)
    with pytest.raises(OptionError, match="already holds a finished model"):
        train(recipe, console=QUIET)
    before = (trained / "model.safetensors").read_bytes()
    train(recipe.model_copy(update={"seed": 7}), console=QUIET, overwrite=True)
    assert load_checkpoint(trained).recipe["seed"] == 7
    assert (trained / "model.safetensors").read_bytes() != before


def test_an_unfinished_training_is_resumed_only_with_its_own_recipe_and_data(
    encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    data = save_data(tmp_path)
    recipe = tiny_recipe(encoder, data, tmp_path / "model")
    interrupt(monkeypatch, recipe)
    with pytest.raises(OptionError, match="unfinished training with other values of batch_size, seed"):
        train(recipe.model_copy(update={"seed": 7, "batch_size": 3}), console=QUIET)
    write_documents(sentences(20), data["train"])
    with pytest.raises(OptionError, match="other values of content of the files"):
        train(recipe, console=QUIET)
    save_data(tmp_path)
    train(recipe.model_copy(update={"save_steps": 2}), console=QUIET)
    assert (tmp_path / "model" / MANIFEST).exists()


@pytest.mark.parametrize(
    ("epochs", "given", "steps"), [(2, None, 1), (30, None, 18), (0.5, None, 1), (3000, None, 500), (30, 7, 7)]
)
def test_a_short_training_too_has_checkpoints_to_resume_from(
    epochs: float, given: int | None, steps: int, encoder: Path, data: dict[str, Path], tmp_path: Path
):
    changes = {} if given is None else {"save_steps": given}
    recipe = tiny_recipe(encoder, data, tmp_path / "model", epochs=epochs, **changes)
    assert training_arguments(recipe, num_examples=24, learning_rate=1e-3).save_steps == steps


def test_a_finished_training_that_was_not_written_is_not_trained_on(
    encoder: Path, data: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    recipe = tiny_recipe(encoder, data, tmp_path / "model", epochs=1.5)
    interrupt(monkeypatch, recipe)
    monkeypatch.setattr(run_module.ExtractionTrainer, "training_step", None)  # calling it fails
    train(recipe, console=QUIET)
    assert load_checkpoint(tmp_path / "model").metrics["steps"] == 9


def test_checkpoints_of_another_training_are_not_gone_on_from(
    encoder: Path, data: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    recipe = tiny_recipe(encoder, data, tmp_path / "model")
    interrupt(monkeypatch, recipe)
    (tmp_path / "model" / "training" / MEMORY).unlink()
    train(recipe.model_copy(update={"seed": 7}), console=QUIET)
    fresh = train(tiny_recipe(encoder, data, tmp_path / "fresh", seed=7), console=QUIET)
    assert (tmp_path / "model/model.safetensors").read_bytes() == (fresh / "model.safetensors").read_bytes()


def test_wrong_data_is_refused_before_the_encoder_is_loaded_and_nothing_is_written(tmp_path: Path):
    (tmp_path / "empty.jsonl").write_text("")
    recipe = tiny_recipe(tmp_path / "no encoder", {"train": tmp_path / "empty.jsonl"}, tmp_path / "model")
    with pytest.raises(DataError, match="empty"):
        train(recipe, console=QUIET)
    assert not (tmp_path / "model").exists()


def test_elsewhere_than_on_a_terminal_progress_is_plain_lines(encoder: Path, data: dict[str, Path], tmp_path: Path):
    written = io.StringIO()
    train(tiny_recipe(encoder, data, tmp_path / "model"), console=Console(file=written, width=200))
    lines = written.getvalue().splitlines()
    assert [line.split("  ")[0] for line in lines] == ["epoch 1/2", "epoch 2/2"]
    assert "dev: entities P 0." in lines[0] and "\x1b" not in written.getvalue()


def test_on_a_terminal_there_is_a_bar_and_the_cursor_comes_back_even_after_an_error(
    encoder: Path, data: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def fail(*arguments: Any, **options: Any) -> None:
        raise InterruptionError

    monkeypatch.setattr(run_module.ExtractionTrainer, "evaluate", fail)
    written = io.StringIO()
    with pytest.raises(InterruptionError):
        train(
            tiny_recipe(encoder, data, tmp_path / "model"),
            console=Console(file=written, force_terminal=True, legacy_windows=False, width=100),
        )
    assert "training" in written.getvalue()
    assert written.getvalue().count("\x1b[?25h") == written.getvalue().count("\x1b[?25l") == 1


def test_another_process_of_the_same_training_is_silent(
    encoder: Path, data: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    written = io.StringIO()
    monkeypatch.setattr(course, "is_first_process", lambda: False)
    train(tiny_recipe(encoder, data, tmp_path / "model"), console=Console(file=written))
    assert not written.getvalue() and not (tmp_path / "model" / MANIFEST).exists()


@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
def test_entities_alone_can_be_learnt(encoder: Path, tmp_path: Path):
    documents = sentences(27)
    for name, part in (("train", documents[:21]), ("dev", documents[21:])):
        bare = [type(item)(item.text, item.entities) for item in part]
        write_documents(bare, tmp_path / f"{name}.jsonl")
    data = {"train": tmp_path / "train.jsonl", "dev": tmp_path / "dev.jsonl"}
    folder = train(tiny_recipe(encoder, data, tmp_path / "model"), console=QUIET)
    assert load_checkpoint(folder).schema.predicates == ()
    assert read_json(folder / MANIFEST)["metrics"]["dev"]["entities_recall"] >= 0


@pytest.mark.slow
def test_twenty_sentences_are_learnt_by_heart(plain_encoder: Path, tmp_path: Path):
    write_documents(sentences(20), tmp_path / "twenty.jsonl")
    data = {"train": tmp_path / "twenty.jsonl", "dev": tmp_path / "twenty.jsonl"}
    recipe = tiny_recipe(
        plain_encoder,
        data,
        tmp_path / "model",
        epochs=60,
        hidden_dropout=0.0,
        head_lr=1e-2,
        encoder_lr=5e-3,
        patience=60,
    )
    folder = train(recipe, console=QUIET)
    gold = sentences(20)
    found = Extractor.from_pretrained(folder, device="cpu").extract([item.text for item in gold])
    for ours, theirs in zip(found, gold, strict=True):
        assert {(fact.subject, fact.predicate, fact.object) for fact in ours.relations} == {
            (fact.subject, fact.predicate, fact.object) for fact in theirs.relations
        }
    assert load_checkpoint(folder).metrics["dev"]["relations_f1"] == 1.0
