"""How a training optimises, measures itself, stops and keeps its best weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from torch import Tensor
from torch.testing import assert_close

from kexue.errors import OptionError, TrainingError
from kexue.extraction.heads.gplinker import GPLinker
from kexue.training.arguments import training_arguments, uses_bfloat16
from kexue.training.extraction.data import load_training_data
from kexue.training.extraction.run import make_trainer
from kexue.training.extraction.trainer import ExtractionTrainer
from tests.training.tiny import tiny_recipe

QUIET = Console(quiet=True)


def trainer_of(encoder: Path, data: dict[str, Path], output: Path, **changes: Any) -> ExtractionTrainer:
    recipe = tiny_recipe(encoder, data, output, **changes)
    torch.manual_seed(0)
    return make_trainer(recipe, load_training_data(recipe), QUIET)


def weights_of(trainer: ExtractionTrainer) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in trainer.model.state_dict().items()}


class InOrder:
    """The documents as they come, as a sampler."""

    def __init__(self, count: int) -> None:
        self.count = count

    def set_epoch(self, epoch: int) -> None:
        pass

    def __len__(self) -> int:
        return self.count

    def __iter__(self):
        return iter((index,) for index in range(self.count))


class Script:
    """Stands for a judgement: relations with this F1."""

    def __init__(self, score: float) -> None:
        self.score = score

    def f1(self) -> dict[str, float]:
        return {"relations_f1": self.score, "entities_f1": 0.0}


def follow(monkeypatch: pytest.MonkeyPatch, scores: Sequence[float]) -> list[dict[str, Tensor]]:
    """Let evaluations give these scores, and keep the weights that were evaluated."""
    seen: list[dict[str, Tensor]] = []

    def judge_dev(self: ExtractionTrainer, *, floor: float) -> Script:
        seen.append(weights_of(self))
        return Script(scores[len(seen) - 1])

    monkeypatch.setattr(ExtractionTrainer, "judge_dev", judge_dev)
    return seen


def assert_equal(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> None:
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


# --- optimisation ---


def test_encoder_and_head_have_rates_of_their_own_and_only_matrices_decay(
    encoder: Path, data: dict[str, Path], tmp_path: Path
):
    trainer = trainer_of(encoder, data, tmp_path, encoder_lr=1e-5, head_lr=1e-3, weight_decay=0.1)
    names = {id(parameter): name for name, parameter in trainer.model.named_parameters()}
    seen = {
        names[id(parameter)]: (group["lr"], group["weight_decay"])
        for group in trainer.create_optimizer().param_groups
        for parameter in group["params"]
    }
    assert seen.keys() == set(names.values())
    assert seen["encoder.layers.0.unit.scale"] == seen["encoder.embedding.weight"] == (1e-5, 0.0)
    assert seen["head.spans.project.bias"] == (1e-3, 0.0)
    assert seen["head.spans.project.weight"] == (1e-3, 0.1)
    for name, (rate, decay) in seen.items():
        assert rate == (1e-5 if name.startswith("encoder.") else 1e-3)
        assert decay == 0.0 or name.endswith(".weight")


def test_norms_and_embeddings_of_bert_do_not_decay(minilm: str, data: dict[str, Path], tmp_path: Path):
    trainer = trainer_of(Path(minilm), data, tmp_path)
    (decaying,) = [
        {id(parameter) for parameter in group["params"]}
        for group in trainer.create_optimizer().param_groups
        if group["weight_decay"] and group["lr"] == trainer.encoder_lr
    ]
    names = {name for name, parameter in trainer.model.encoder.named_parameters() if id(parameter) in decaying}
    assert "encoder.layer.0.attention.self.query.weight" in names
    assert not [name for name in names if "Norm" in name or "bias" in name or "embeddings" in name]


def test_accumulated_gradients_are_those_of_the_large_batch(plain_encoder: Path, data: dict[str, Path], tmp_path: Path):
    results = []
    for size, steps in ((12, 1), (4, 3)):
        trainer = trainer_of(
            plain_encoder, data, tmp_path / str(size), batch_size=size, gradient_accumulation=steps, hidden_dropout=0.0
        )
        trainer.sampler = InOrder(12)
        gradients: dict[str, Tensor] = {}
        step = trainer.create_optimizer().step

        def keep(*arguments: Any, trainer=trainer, gradients=gradients, step=step, **options: Any) -> Any:
            gradients.update({name: value.grad.clone() for name, value in trainer.model.named_parameters()})
            return step(*arguments, **options)

        trainer.optimizer.step = keep
        trainer.args.num_train_epochs = 1
        trainer.train_or_resume()
        assert trainer.state.global_step == 1
        results.append((gradients, [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]))
    assert_close(results[0], results[1], rtol=1e-4, atol=1e-6)


def test_in_bfloat16_the_encoder_rounds_and_the_loss_is_float32(
    plain_encoder: Path, data: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    losses: dict[str, list[Tensor]] = {}
    states: dict[str, set[torch.dtype]] = {}
    for precision in ("float32", "bfloat16"):
        trainer = trainer_of(
            plain_encoder, data, tmp_path / precision, precision=precision, hidden_dropout=0.0, epochs=1
        )
        scores, loss, kept, dtypes = GPLinker.scores, GPLinker.loss_of, [], set()

        def scored(self, hidden, scores=scores, dtypes=dtypes):
            dtypes.add(torch.nn.functional.linear(hidden, torch.zeros(1, hidden.shape[-1])).dtype)
            return scores(self, hidden)

        def recorded(self, scores, mask, targets, loss=loss, kept=kept):
            kept.append(loss(self, scores, mask, targets))
            return kept[-1]

        with monkeypatch.context() as patch:
            patch.setattr(GPLinker, "scores", scored)
            patch.setattr(GPLinker, "loss_of", recorded)
            trainer.train_or_resume()
        losses[precision], states[precision] = kept, dtypes
    assert states == {"float32": {torch.float32}, "bfloat16": {torch.bfloat16}}  # autocast was on around the head
    assert all(value.dtype == torch.float32 for kept in losses.values() for value in kept)
    first = losses["float32"][0], losses["bfloat16"][0]
    assert not torch.equal(*first)
    assert_close(*first, rtol=0.05, atol=0.1)


def test_precision_is_as_asked_for(encoder: Path, data: dict[str, Path], tmp_path: Path):
    assert uses_bfloat16(tiny_recipe(encoder, data, tmp_path, precision="bfloat16"))
    assert not uses_bfloat16(tiny_recipe(encoder, data, tmp_path, precision="float32"))
    assert uses_bfloat16(tiny_recipe(encoder, data, tmp_path, precision="auto")) in (True, False)


def test_gradient_checkpointing_changes_memory_not_weights(plain_encoder: Path, data: dict[str, Path], tmp_path: Path):
    results = []
    for enabled in (False, True):
        trainer = trainer_of(
            plain_encoder, data, tmp_path / str(enabled), gradient_checkpointing=enabled, hidden_dropout=0.0, epochs=1
        )
        assert [layer.gradient_checkpointing for layer in trainer.model.encoder.layers] == [enabled] * 2
        trainer.train_or_resume()
        results.append(weights_of(trainer))
    assert_close(*results)


def test_a_batch_that_cannot_be_divided_over_the_processes_is_refused(
    encoder: Path, data: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(OptionError, match="batch_size 4 cannot be divided over 3 processes"):
        training_arguments(tiny_recipe(encoder, data, tmp_path), 21, 1e-3)


# --- dev ---


@pytest.mark.parametrize(
    ("scores", "patience", "measured", "kept"),
    [
        pytest.param([0.1, 0.3, 0.2, 0.3, 0.25, 0.9, 0.9, 0.9], 3, 5, 1, id="an equal score is no gain"),
        pytest.param([0.0] * 4, 1, 4, 3, id="while nothing is found training goes on, and the last weights are kept"),
        pytest.param([0.0, 0.2, 0.0, 0.0, 0.9], 2, 4, 1, id="a score that falls to zero is no gain"),
    ],
)
def test_training_stops_without_gains_and_the_best_weights_are_kept_and_loaded(
    scores: list[float],
    patience: int,
    measured: int,
    kept: int,
    encoder: Path,
    data: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    seen = follow(monkeypatch, scores)
    trainer = trainer_of(encoder, data, tmp_path, epochs=len(scores), patience=patience)
    trainer.train_or_resume()
    assert len(seen) == measured
    trainer.load_best()
    assert_equal(weights_of(trainer), seen[kept])


def test_a_loss_that_is_no_number_ends_the_training_with_the_remedy(
    encoder: Path, data: dict[str, Path], tmp_path: Path
):
    trainer = trainer_of(encoder, data, tmp_path)
    with torch.no_grad():
        next(trainer.model.head.parameters()).fill_(float("nan"))
    with pytest.raises(TrainingError, match=r"the loss is nan at step \d+.*Lower the learning rates"):
        trainer.train_or_resume()


def test_what_is_evaluated_is_the_average_and_what_trains_on_is_not(
    encoder: Path, data: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    seen = follow(monkeypatch, [0.5] * 2)
    averaged = trainer_of(encoder, data, tmp_path / "a", ema=0.99)
    averaged.train_or_resume()
    raw = trainer_of(encoder, data, tmp_path / "b", ema=0.0)
    follow(monkeypatch, [0.5] * 2)
    raw.train_or_resume()
    assert_equal(weights_of(averaged), weights_of(raw))
    assert any(not torch.equal(seen[1][name], value) for name, value in weights_of(averaged).items())


def test_even_the_first_epoch_of_few_steps_is_not_judged_by_the_initial_weights(
    encoder: Path, data: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    seen = follow(monkeypatch, [0.5])
    trainer = trainer_of(encoder, data, tmp_path, epochs=1, batch_size=16, ema=0.0)
    trainer.train_or_resume()
    assert_equal(seen[0], weights_of(trainer))


def test_judging_dev_leaves_no_trace_in_the_random_state(encoder: Path, data: dict[str, Path], tmp_path: Path):
    trainer = trainer_of(encoder, data, tmp_path)
    before = torch.get_rng_state()
    trainer.judge_dev(floor=0.0)
    assert torch.equal(before, torch.get_rng_state())
