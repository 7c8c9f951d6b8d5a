"""Regularisers in real trainings of either job: doubled batches, padding, teachers, accumulation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from torch import Tensor
from torch.testing import assert_close

from kexue.diffusion.denoisers import DENOISERS
from kexue.errors import OptionError
from kexue.extraction.heads import HEADS
from kexue.extraction.said import DIVERGENCES, SaidOfTexts
from kexue.layers import FactorizedScores
from kexue.ops.divergence import sigmoid_divergence
from kexue.ops.masking import pair_mask
from kexue.training.extraction.data import load_training_data
from kexue.training.extraction.run import make_trainer as make_extraction_trainer
from kexue.training.extraction.run import train
from kexue.training.extraction.trainer import ExtractionTrainer
from kexue.training.generation.data import load_generation_data
from kexue.training.generation.run import make_trainer as make_generation_trainer
from kexue.training.generation.run import train as train_generator
from kexue.training.generation.trainer import GenerationTrainer
from kexue.training.regularizers import REGULARIZERS, Step, make_regularizers, regularized_loss
from kexue.training.resumable import ResumableTrainer
from tests.extraction.heads.fitting import DOCUMENTS
from tests.training.extraction.test_heads import files_of
from tests.training.extraction.test_trainer import InOrder
from tests.training.generation.tiny import TinyGAU, save_digits
from tests.training.generation.tiny import recipe as generation_recipe
from tests.training.tiny import save_data, tiny_recipe

QUIET = Console(quiet=True)
WITHOUT_TEACHER = [name for name in REGULARIZERS if name != "distillation"]


def extraction(encoder: Path, data: dict[str, Path], output: Path, **changes: Any) -> ExtractionTrainer:
    recipe = tiny_recipe(encoder, data, output, **changes)
    torch.manual_seed(0)
    return make_extraction_trainer(recipe, load_training_data(recipe), QUIET)


def generation(train: Path, output: Path, monkeypatch: pytest.MonkeyPatch, **changes: Any) -> GenerationTrainer:
    monkeypatch.setitem(DENOISERS, "gau", TinyGAU)
    recipe = generation_recipe(train, output, **changes)
    torch.manual_seed(0)
    return make_generation_trainer(recipe, load_generation_data(recipe))


def first_batch(trainer: ResumableTrainer) -> dict[str, Tensor]:
    return next(iter(trainer.get_train_dataloader()))


def loss_of(trainer: ResumableTrainer, inputs: dict[str, Tensor], regularizer: Any = None) -> Tensor:
    return regularized_loss(trainer, make_regularizers(regularizer), trainer.model, inputs)


@pytest.fixture
def digits(tmp_path: Path) -> Path:
    return save_digits(tmp_path)


@pytest.fixture(scope="module")
def teacher(plain_encoder: Path, data: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("teacher") / "model"
    return train(tiny_recipe(plain_encoder, data, output, hidden_dropout=0.0, epochs=1), console=QUIET)


# --- what a model says of texts ---


def test_what_is_said_of_texts_is_compared_label_by_label_under_a_logarithm():
    mask = torch.tensor([[True] * 5, [True] * 3 + [False] * 2])
    first, second = (
        FactorizedScores(*torch.randn(2, 2, 5, 4), *torch.randn(2, 2, 3, 5), ordered=ordered)
        for ordered in (True, True)
    )
    truth = torch.zeros(())
    for text in range(2):
        for label in range(3):
            classes = pair_mask(mask, ordered=True)[text]
            s, t = (scores.dense()[text, label][classes] for scores in (first, second))
            truth += sigmoid_divergence(s, t).log1p() / 2
    assert_close(SaidOfTexts((first,), mask).divergence(SaidOfTexts((second,), mask), "sigmoid"), truth)


@pytest.mark.parametrize(("head", "scorers"), [("gplinker", 3), ("global_pointer", 1), ("events", 3)])
def test_every_head_that_is_made_of_token_pairs_is_regularized(
    head: str, scorers: int, plain_encoder: Path, tmp_path: Path
):
    data = files_of(DOCUMENTS[HEADS[head].task](18), tmp_path)
    trainer = extraction(plain_encoder, data, tmp_path / "model", head=head, hidden_dropout=0.3)
    batch = first_batch(trainer)
    trainer.model.train()
    said = trainer.model(**batch)["said"]
    assert len(said.scorers) == scorers
    assert said.divergence(said, "sigmoid") == 0
    torch.manual_seed(0)
    plain = loss_of(trainer, batch)
    torch.manual_seed(0)
    assert loss_of(trainer, batch, {"name": "rdrop", "alpha": 100.0}) > plain


@pytest.mark.parametrize("kind", DIVERGENCES)
def test_neither_padding_nor_more_scorers_of_the_same_change_the_mean(kind: str):
    mask = torch.ones(1, 4, dtype=torch.bool)
    passes = [FactorizedScores(*torch.randn(2, 1, 4, 3), *torch.randn(2, 1, 2, 4)) for _ in range(2)]
    first, second = (SaidOfTexts((scores,), mask) for scores in passes)
    value = first.divergence(second, kind)
    longer = [
        SaidOfTexts(
            (FactorizedScores(*(torch.nn.functional.pad(x, (0, 0, 0, 3), value=9.0) for x in (s.query, s.key)),
                              *(torch.nn.functional.pad(x, (0, 3), value=9.0) for x in (s.row, s.column))),),
            torch.nn.functional.pad(mask, (0, 3), value=False),
        )
        for s in passes
    ]  # fmt: skip
    assert_close(longer[0].divergence(longer[1], kind), value, rtol=1e-4, atol=1e-5)
    twice = [SaidOfTexts((scores, scores), mask) for scores in passes]
    assert_close(twice[0].divergence(twice[1], kind), 2 * value)


def test_no_weight_is_needed_for_length_before_the_first_step():
    """Of untrained scores a sum over pairs grows as the square of the length; ours as the loss does."""
    sums, ours, losses = [], [], []
    for length in (16, 128):
        mask, noise = torch.ones(1, length, dtype=torch.bool), torch.Generator().manual_seed(0)
        shapes = ((length, 4), (length, 4), (5, length), (5, length))
        passes = [FactorizedScores(*(torch.randn(1, *shape, generator=noise) for shape in shapes)) for _ in range(2)]
        sums.append(passes[0].sigmoid_divergence(passes[1], mask).sum())
        first, second = (SaidOfTexts((scores,), mask) for scores in passes)
        ours.append(first.divergence(second, "sigmoid"))
        losses.append(passes[0].loss(torch.empty(0, 4, dtype=torch.long), mask).sum())
    assert sums[1] / sums[0] > 40
    assert 0.7 < (ours[1] / ours[0]) / (losses[1] / losses[0]) < 1.4


# --- both jobs ---


@pytest.mark.parametrize("window", [254, 12])
def test_a_doubled_batch_of_texts_says_and_costs_the_same_twice(
    plain_encoder: Path, data: dict[str, Path], tmp_path: Path, window: int
):
    trainer = extraction(plain_encoder, data, tmp_path, hidden_dropout=0.0, window=window, overlap=4)
    inputs = first_batch(trainer)
    assert (len(inputs["input_ids"]) > len(inputs["mask"])) == (window == 12)
    plain, doubled = (trainer.model(**batch) for batch in (inputs, trainer.doubled(inputs)))
    assert_close(doubled["loss"], plain["loss"])
    first, second = doubled["said"].halves()
    for said in (first, second):
        for ours, scores in zip(said.scorers, plain["said"].scorers, strict=True):
            assert_close(ours.dense(), scores.dense(), rtol=1e-4, atol=1e-5)
    assert first.divergence(second, "sigmoid").item() == pytest.approx(0, abs=1e-9)


def test_each_half_of_a_doubled_batch_has_windows_of_its_own(
    plain_encoder: Path, data: dict[str, Path], tmp_path: Path
):
    trainer = extraction(plain_encoder, data, tmp_path, hidden_dropout=0.0)
    inputs = first_batch(trainer)
    doubled, half = trainer.doubled(inputs), len(inputs["input_ids"])
    other = inputs["input_ids"].flip(1) * inputs["attention_mask"]
    doubled["input_ids"][half:] = other
    said = trainer.model(**doubled)["said"].halves()
    for ours, batch in zip(said, (inputs, inputs | {"input_ids": other}), strict=True):
        alone = trainer.model(**batch)["said"]
        assert_close(ours.scorers[0].dense(), alone.scorers[0].dense(), rtol=1e-4, atol=1e-5)
    assert said[0].divergence(said[1], "sigmoid") > 0.1


def test_both_passes_over_images_have_the_same_noise_and_differ_by_dropout(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    trainer = generation(digits, tmp_path / "out", monkeypatch, dropout=0.0)
    inputs = trainer.doubled(first_batch(trainer))
    first, second = trainer.model(**inputs)["said"].halves()
    assert first.divergence(second, "squared").item() == pytest.approx(0, abs=1e-12)
    trainer = generation(digits, tmp_path / "out", monkeypatch, dropout=0.3)
    first, second = trainer.model(**inputs)["said"].halves()
    assert first.divergence(second, "squared").item() > 1e-4


@pytest.mark.parametrize(
    ("name", "efficient"), [*((name, True) for name in WITHOUT_TEACHER), ("rdrop", False), ("vat", False)]
)
def test_every_regularizer_trains_an_extractor_also_in_bfloat16(
    name: str, efficient: bool, encoder: Path, data: dict[str, Path], tmp_path: Path
):
    strong = {"name": name, "alpha": 4.0} if name == "rdrop" else name  # or another dropout hides what it adds
    trainer = extraction(
        encoder, data, tmp_path, regularizer=strong, efficient=efficient, precision="bfloat16", gradient_accumulation=2
    )
    trainer.args.max_steps = 2
    plain = extraction(encoder, data, tmp_path / "plain", efficient=efficient, precision="bfloat16")
    plain.args.max_steps = 2
    for each in (trainer, plain):
        each.train()
    (ours, *_), (without, *_) = ([e["loss"] for e in t.state.log_history if "loss" in e] for t in (trainer, plain))
    assert ours > without


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", WITHOUT_TEACHER)
def test_on_a_gpu_what_is_drawn_comes_from_the_random_state(
    name: str, encoder: Path, data: dict[str, Path], tmp_path: Path
):
    trainer = extraction(encoder, data, tmp_path, device="cuda")
    inputs = {key: value.cuda() for key, value in first_batch(trainer).items()}
    losses = []
    for _ in range(2):
        torch.cuda.manual_seed(3)
        losses.append(loss_of(trainer, inputs, name).item())
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


@pytest.mark.parametrize("name", WITHOUT_TEACHER)
def test_every_regularizer_trains_a_generator(name: str, digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    trainer = generation(digits, tmp_path / "out", monkeypatch, regularizer=name, num_samples=0)
    inputs = first_batch(trainer)
    with torch.no_grad():
        plain = trainer.model(**inputs)["loss"]
    loss = trainer.compute_loss(trainer.model, inputs)
    assert loss > 1.001 * plain or name == "rdrop"
    loss.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in trainer.model.parameters())


def test_a_divergence_of_classes_is_refused_for_images(digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(OptionError, match="'sigmoid' is of no use here; allowed: 'squared'"):
        generation(digits, tmp_path, monkeypatch, regularizer={"name": "rdrop", "divergence": "sigmoid"})


def test_rdrop_of_a_generator_without_dropout_is_refused(digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(OptionError, match="this model has none"):
        generation(digits, tmp_path, monkeypatch, regularizer="rdrop", dropout=0.0)


def test_fgm_of_accumulated_batches_is_that_of_the_large_one(
    plain_encoder: Path, data: dict[str, Path], tmp_path: Path
):
    results = []
    for size, steps in ((12, 1), (4, 3)):
        trainer = extraction(
            plain_encoder, data, tmp_path / str(size), batch_size=size, gradient_accumulation=steps, hidden_dropout=0.0,
            regularizer="fgm", epochs=1,
        )  # fmt: skip
        trainer.sampler = InOrder(12)
        gradients: dict[str, Tensor] = {}
        step = trainer.create_optimizer().step

        def keep(*arguments: Any, trainer=trainer, gradients=gradients, step=step, **options: Any) -> Any:
            gradients.update({name: value.grad.clone() for name, value in trainer.model.named_parameters()})
            return step(*arguments, **options)

        trainer.optimizer.step = keep
        trainer.train_or_resume()
        results.append(gradients)
    assert_close(results[0], results[1], rtol=1e-3, atol=1e-5)


def test_the_padding_of_a_window_is_not_moved(
    plain_encoder: Path, data: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    trainer = extraction(plain_encoder, data, tmp_path, hidden_dropout=0.0)
    inputs = first_batch(trainer)
    kept = trainer.kept(inputs)
    assert 0 < kept.sum() < kept.numel()
    moves: list[Tensor] = []
    again = Step.again
    monkeypatch.setattr(Step, "again", lambda step, shift: moves.append(shift.detach()) or again(step, shift))
    loss_of(trainer, inputs, "vat")
    embedded = trainer.entrance(inputs["input_ids"])
    assert_close(moves[-1] * (1 - kept), torch.zeros_like(moves[-1]))
    lengths = [(x * kept).flatten(1).norm(dim=1) for x in (moves[-1], embedded)]
    assert_close(lengths[0], 0.1 * lengths[1])


# --- teachers ---


def test_a_model_has_nothing_to_learn_from_itself(
    teacher: Path, plain_encoder: Path, data: dict[str, Path], tmp_path: Path
):
    regularizer = {"name": "distillation", "teacher": str(teacher), "temperature": 2.0}
    trainer = extraction(plain_encoder, data, tmp_path, hidden_dropout=0.0, regularizer=regularizer)
    trainer.model.load_state_dict(trainer.teachers[str(teacher)].state_dict())
    inputs = first_batch(trainer)
    assert loss_of(trainer, inputs, regularizer).item() == trainer.model(**inputs)["loss"].item()
    with torch.no_grad():
        next(trainer.model.head.parameters()).add_(0.1)
    assert loss_of(trainer, inputs, regularizer) > trainer.model(**inputs)["loss"]


def test_only_the_student_learns(teacher: Path, encoder: Path, data: dict[str, Path], tmp_path: Path):
    regularizer = [{"name": "distillation", "teacher": str(teacher)}, "rdrop"]
    trainer = extraction(encoder, data, tmp_path, regularizer=regularizer)
    trainer.compute_loss(trainer.model, first_batch(trainer)).backward()
    of_teacher = trainer.teachers[str(teacher)]
    assert not of_teacher.training
    assert all(parameter.grad is None for parameter in of_teacher.parameters())
    assert {id(p) for p in of_teacher.parameters()}.isdisjoint(id(p) for p in trainer.model.parameters())


def test_a_teacher_of_other_labels_or_tokens_is_refused(teacher: Path, encoder: Path, minilm: str, tmp_path: Path):
    regularizer = {"name": "distillation", "teacher": str(teacher)}
    other = save_data(tmp_path, train=3)
    for reader, values, complaint in (
        (encoder, {"entity_types": []}, "has other entity types"),
        (Path(minilm), {}, "reads other tokens"),
    ):
        with pytest.raises(OptionError, match=complaint):
            extraction(reader, other, tmp_path / "out", regularizer=regularizer, **values)


def test_a_generator_learns_from_a_generator_of_the_same_form(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(DENOISERS, "gau", TinyGAU)
    folder = train_generator(generation_recipe(digits, tmp_path / "teacher", epochs=1, dropout=0.0), console=QUIET)
    regularizer = {"name": "distillation", "teacher": str(folder)}
    trainer = generation(digits, tmp_path / "out", monkeypatch, dropout=0.0, regularizer=regularizer)
    inputs = first_batch(trainer)
    assert loss_of(trainer, inputs, regularizer) > trainer.model(**inputs)["loss"]
    trainer.model.load_state_dict(trainer.teachers[str(folder)].state_dict())
    assert_close(loss_of(trainer, inputs, regularizer), trainer.model(**inputs)["loss"])
    with pytest.raises(OptionError, match="has another parameterization"):
        generation(digits, tmp_path / "out", monkeypatch, parameterization="eps", regularizer=regularizer)
