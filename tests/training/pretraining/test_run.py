"""From a recipe to an encoder in a folder: what is written, refused, resumed after SIGKILL, shared by processes."""

from __future__ import annotations

import json
import math
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file
from torch import nn
from transformers import AutoModel, AutoModelForMaskedLM, AutoTokenizer, BertConfig, BertForMaskedLM, BertModel

from kexue.data import demo_path
from kexue.encoders.gau import GAUForMaskedLM, GAUModel
from kexue.encoders.loading import load_encoder
from kexue.errors import CheckpointError, DataError, OptionError
from kexue.extraction.checkpoint import load_checkpoint
from kexue.extraction.formats import read_documents, write_documents
from kexue.manifest import MANIFEST
from kexue.training.extraction.run import train as train_extractor
from kexue.training.network import default_learning_rate
from kexue.training.pretraining.budget import budget_file
from kexue.training.pretraining.data import load_pretraining_data
from kexue.training.pretraining.recipe import PretrainingRecipe
from kexue.training.pretraining.run import make_trainer, pretrain
from kexue.training.pretraining.trainer import guess_by_frequency, measure_dev
from tests.training.killing import Moment
from tests.training.pretraining import killed
from tests.training.pretraining.tiny import chinese, english, recipe, save_texts, values
from tests.training.tiny import read_json, save_data, tiny_recipe

QUIET = Console(quiet=True)
WEIGHTS = "model.safetensors"


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_texts(tmp_path_factory.mktemp("texts"), english(120))


@pytest.fixture(scope="module")
def unbroken(texts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("unbroken") / "encoder"
    assert killed.run(values(texts, output)) == 0
    return output


def logged(output: Path) -> list[dict[str, float]]:
    return [entry for entry in read_json(Path(f"{output}.log.json")) if "train_runtime" not in entry]


def assert_same(output: Path, unbroken: Path) -> None:
    assert logged(output) == logged(unbroken)
    for name in (WEIGHTS, "tokenizer.json", "config.json"):
        assert (output / name).read_bytes() == (unbroken / name).read_bytes()
    ours, theirs = read_json(output / MANIFEST)["metrics"], read_json(unbroken / MANIFEST)["metrics"]
    for metrics in (ours, theirs):
        del metrics["training_seconds"]
    assert ours == theirs


# --- what is written ---


def test_the_folder_holds_an_encoder_that_everybody_can_load(unbroken: Path):
    encoder, tokenizer = load_encoder(unbroken)
    assert isinstance(encoder, GAUModel)
    assert isinstance(AutoModel.from_pretrained(unbroken), GAUModel)
    whole = AutoModelForMaskedLM.from_pretrained(unbroken)
    assert isinstance(whole, GAUForMaskedLM)
    assert AutoTokenizer.from_pretrained(unbroken).get_vocab() == tokenizer.get_vocab()
    ids = torch.tensor([tokenizer("Aspirin caused a rash.")["input_ids"]])
    labels = ids.masked_fill(ids != ids[0, 2], -100)
    with torch.no_grad():
        state = encoder.eval()(ids).last_hidden_state
        out = whole.eval()(ids, labels=labels)
    torch.testing.assert_close(out.logits, state @ encoder.get_input_embeddings().weight.T)
    assert not whole.config.sparse_prediction


def test_the_folder_tells_how_it_was_made(unbroken: Path, texts: Path):
    content = read_json(unbroken / MANIFEST)
    assert content["kind"] == "pre-trained encoder"
    assert content["recipe"]["texts"] == [str(texts)]
    entries = logged(unbroken)
    steps = [entry["step"] for entry in entries if "eval_loss" in entry]
    last = content["metrics"]["steps"]
    epoch = int(last / 2.5)
    assert steps == sorted({*range(4, last, 4), *range(epoch, last, epoch), last})
    best = max(entry["eval_accuracy"] for entry in entries if "eval_accuracy" in entry)
    assert content["metrics"]["dev"]["accuracy"] == best
    assert list(unbroken.rglob("events.out.*"))
    assert {path.name for path in (unbroken / "training").iterdir()} == {"runs"}


@pytest.mark.parametrize("language", ["English", "Chinese"])
def test_a_pre_trained_encoder_knows_more_than_frequencies_and_is_taken_by_train(language: str, tmp_path: Path):
    source = {"English": english(800), "Chinese": chinese(150)}[language]
    name = {"English": "phee", "Chinese": "cnshipnet"}[language]
    quick = {"epochs": 6, "eval_steps": 1000, "save_steps": 1000, "batch_size": 16, "learning_rate": 1e-2}
    given = recipe(save_texts(tmp_path, source), tmp_path / "encoder", **quick)
    folder = pretrain(given, console=QUIET)
    metrics = read_json(folder / MANIFEST)["metrics"]
    assert metrics["dev"]["accuracy"] > 1.3 * metrics["guess"]["accuracy"]
    assert metrics["dev"]["loss"] < metrics["guess"]["loss"]
    write_documents(read_documents(demo_path(name, "dev")).documents[:16], tmp_path / "gold.jsonl")
    data = {"train": tmp_path / "gold.jsonl", "dev": tmp_path / "gold.jsonl"}
    model = train_extractor(tiny_recipe(folder, data, tmp_path / "model", epochs=1), console=QUIET)
    assert load_checkpoint(model).model.config.encoder["hidden_size"] == 32


# --- resuming ---


@pytest.mark.parametrize(
    "moment",
    [
        ("append to the corpus", 2),
        ("take in a step", 4),
        pytest.param(("take in a step", 12), marks=pytest.mark.slow),
        pytest.param(("measure", 2), marks=pytest.mark.slow),
        pytest.param(("keep the best", 1), marks=pytest.mark.slow),
        ("save the random state", 2),
        pytest.param(("declare a checkpoint complete", 1), marks=pytest.mark.slow),
        pytest.param(("write the manifest", 1), marks=pytest.mark.slow),
        pytest.param(("forget", 1), marks=pytest.mark.slow),
    ],
    ids=lambda moment: f"{moment[0]} {moment[1]}",
)
def test_a_training_killed_about_to(moment: Moment, texts: Path, unbroken: Path, tmp_path: Path):
    chosen = values(texts, tmp_path / "encoder")
    assert killed.run(chosen, moment) == -signal.SIGKILL
    if moment[0] != "forget":
        assert not (tmp_path / "encoder" / MANIFEST).exists()
        assert killed.run(chosen) == 0
    assert_same(tmp_path / "encoder", unbroken)


@pytest.mark.slow
def test_a_time_is_a_number_of_steps_that_stays_when_the_training_is_killed(texts: Path, tmp_path: Path):
    timed = values(texts, tmp_path / "timed", epochs=None, minutes=0.05)
    assert killed.run(timed, ("rehearse", 1)) == -signal.SIGKILL
    assert not budget_file(tmp_path / "timed").exists()
    assert killed.run(timed, ("save the random state", 1)) == -signal.SIGKILL
    chosen = json.loads(budget_file(tmp_path / "timed").read_text())["epochs"]
    assert killed.run(timed) == 0
    assert killed.run(values(texts, tmp_path / "plain", epochs=chosen)) == 0
    assert (tmp_path / "timed" / WEIGHTS).read_bytes() == (tmp_path / "plain" / WEIGHTS).read_bytes()
    assert logged(tmp_path / "timed") == logged(tmp_path / "plain")
    assert {path.name for path in (tmp_path / "timed" / "training").iterdir()} == {"runs"}


def test_other_texts_or_choices_do_not_go_on_with_an_unfinished_training(texts: Path, tmp_path: Path):
    chosen = values(texts, tmp_path / "encoder")
    assert killed.run(chosen, ("take in a step", 4)) == -signal.SIGKILL
    with pytest.raises(OptionError, match="unfinished training with other values of mask_rate"):
        pretrain(PretrainingRecipe.from_values(chosen | {"mask_rate": 0.2}), console=QUIET)
    texts_changed = save_texts(tmp_path, english(119))
    with pytest.raises(OptionError, match="content of the files, texts"):
        pretrain(PretrainingRecipe.from_values(chosen | {"texts": [str(texts_changed)]}), console=QUIET)


def test_a_finished_encoder_is_not_replaced_unless_asked_for(texts: Path, tmp_path: Path):
    chosen = recipe(texts, tmp_path / "encoder", epochs=0.5)
    pretrain(chosen, console=QUIET)
    with pytest.raises(OptionError, match="already holds a finished model"):
        pretrain(chosen, console=QUIET)
    pretrain(recipe(texts, tmp_path / "encoder", epochs=0.5, seed=1), console=QUIET, overwrite=True)
    assert read_json(tmp_path / "encoder" / MANIFEST)["recipe"]["seed"] == 1


@pytest.mark.slow
def test_two_processes_train_as_one(texts: Path, tmp_path: Path):
    """But for the mean of each half, which may hide a word more than the other."""
    for processes in (1, 2):
        chosen = values(texts, tmp_path / str(processes), epochs=6, dropout=0.0, max_grad_norm=1e6, ema=0.5)
        assert killed.run(chosen, processes=processes) == 0
    one, two = (read_json(tmp_path / str(processes) / MANIFEST)["metrics"] for processes in (1, 2))
    assert two["steps"] == one["steps"]
    assert two["dev"]["loss"] == pytest.approx(one["dev"]["loss"], rel=0.02)


@pytest.mark.slow
def test_two_processes_agree_on_the_steps_that_fit(texts: Path, tmp_path: Path):
    chosen = values(texts, tmp_path / "timed", epochs=None, minutes=0.05)
    assert killed.run(chosen, processes=2) == 0
    assert read_json(tmp_path / "timed" / MANIFEST)["metrics"]["steps"] > 0


@pytest.mark.parametrize(
    "change", [{"gradient_accumulation": 2}, {"gradient_checkpointing": True}, {"precision": "bfloat16"}, {"ema": 0.5}]
)
def test_a_training_learns_however_it_computes(texts: Path, tmp_path: Path, change: dict[str, Any]):
    chosen = recipe(texts, tmp_path / "encoder", epochs=5, eval_steps=1000, **change)
    begun = make_trainer(chosen, data=load_data(chosen)).measure()
    metrics = read_json(pretrain(chosen, console=QUIET) / MANIFEST)["metrics"]
    assert metrics["dev"]["loss"] < begun["loss"] - 0.1


# --- vocabularies and other models ---


def test_a_vocabulary_can_be_given_and_a_pre_trained_encoder_goes_on(unbroken: Path, texts: Path, tmp_path: Path):
    begun = recipe(texts, tmp_path / "a", vocabulary=str(unbroken), epochs=0.1)
    trainer = make_trainer(begun, data=load_pretraining_data(begun))
    assert len(trainer.model.config.to_dict()) and trainer.model.config.vocab_size == 500
    assert trainer.args.learning_rate == 5e-3
    on = recipe(texts, tmp_path / "b", encoder=str(unbroken), epochs=0.1, learning_rate=None)
    data = load_pretraining_data(on)
    trainer = make_trainer(on, data=data)
    before = read_json(unbroken / MANIFEST)["metrics"]["dev"]
    assert trainer.measure() == pytest.approx(before, rel=1e-5)
    assert trainer.args.learning_rate == default_learning_rate(str(unbroken), 32)


def save_bert(folder: Path, tokenizer: Any, kind: type = BertForMaskedLM) -> Path:
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    torch.manual_seed(0)
    kind(BertConfig(vocab_size=len(tokenizer), max_position_embeddings=40, **sizes)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_any_masked_language_model_goes_on_within_its_positions(tokenizer: Any, texts: Path, tmp_path: Path):
    bert = save_bert(tmp_path / "bert", tokenizer)
    chosen = recipe(texts, tmp_path / "encoder", encoder=str(bert), learning_rate=None, epochs=2, max_length=32)
    folder = pretrain(chosen, console=QUIET)
    assert {name.split(".")[0] for name in load_file(folder / WEIGHTS)} == {"bert", "cls"}
    assert load_encoder(folder)[0].config.model_type == "bert"
    trainer = make_trainer(recipe(texts, tmp_path / "c", encoder=str(bert), max_length=64), data=load_data(chosen))
    assert trainer.args.warmup_steps == 0.06
    assert max(trainer.dev.lengths) == 40


def load_data(chosen: PretrainingRecipe) -> Any:
    return load_pretraining_data(chosen.model_copy(update={"output": chosen.output.with_name("again")}))


def test_an_encoder_without_a_head_gets_one_and_one_without_weights_is_refused(
    tokenizer: Any, texts: Path, tmp_path: Path
):
    bare = save_bert(tmp_path / "bare", tokenizer, BertModel)
    chosen = recipe(texts, tmp_path / "encoder", encoder=str(bare), max_length=32, epochs=0.2)
    trainer = make_trainer(chosen, data=load_data(chosen))
    held = load_file(bare / WEIGHTS)
    for name, value in trainer.model.bert.state_dict().items():
        torch.testing.assert_close(value, held[name])
    torn = {name: value for name, value in held.items() if "attention" not in name}
    from safetensors.torch import save_file

    save_file(torn, bare / WEIGHTS, metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=r"lack \d+ tensors of BertForMaskedLM"):
        make_trainer(chosen, data=load_data(chosen))


def test_dropout_is_of_the_training_and_the_folder_keeps_its_own(texts: Path, tmp_path: Path):
    chosen = recipe(texts, tmp_path / "encoder", dropout=0.0, epochs=0.2)
    trainer = make_trainer(chosen, data=load_data(chosen))
    shares = [module.p for module in trainer.model.modules() if isinstance(module, nn.Dropout)]
    assert shares and not any(shares)
    assert load_encoder(pretrain(chosen, console=QUIET))[0].config.hidden_dropout == 0.1


# --- measures ---


def test_measures_are_means_over_all_hidden_tokens(texts: Path, tmp_path: Path):
    chosen = recipe(texts, tmp_path / "encoder")
    trainer = make_trainer(chosen, data=load_data(chosen))
    model = trainer.model.eval()
    losses, right = [], []
    model.config.sparse_prediction = False
    for batch in trainer.dev.in_order():
        logits = model(batch["input_ids"]).logits.double().log_softmax(-1)
        for text, place in (batch["labels"] != -100).nonzero().tolist():
            target = batch["labels"][text, place].item()
            losses.append(-logits[text, place, target].item())
            right.append(logits[text, place].argmax().item() == target)
    mean = sum(losses) / len(losses)
    expected = {"loss": mean, "perplexity": math.exp(mean), "accuracy": sum(right) / len(right)}
    for sparse in (False, True):
        model.config.sparse_prediction = sparse
        assert measure_dev(model, trainer.dev, torch.device("cpu")) == pytest.approx(expected, rel=1e-5)


def test_what_is_trained_in_bfloat16_is_measured_in_float32(texts: Path, tmp_path: Path):
    chosen = recipe(texts, tmp_path / "encoder", precision="bfloat16", epochs=0.1)
    trainer = make_trainer(chosen, data=load_data(chosen))
    trainer.train_or_resume()
    inside: list[bool] = []
    trainer.model.gau.embedding.register_forward_hook(lambda *_: inside.append(torch.is_autocast_enabled("cpu")))
    measured = trainer.measure()
    assert inside and not any(inside)
    trainer.model(**next(iter(trainer.dev.in_order())))
    assert inside[-1]  # else nothing was tested
    alone = make_trainer(recipe(texts, tmp_path / "alone"), data=load_data(chosen)).model
    alone.load_state_dict(trainer.model.state_dict())
    assert measured == measure_dev(alone.eval(), trainer.dev, torch.device("cpu"))


def test_guessing_by_frequency_is_the_best_that_knows_nothing_of_the_text(texts: Path, tmp_path: Path):
    chosen = recipe(texts, tmp_path / "encoder")
    dev = make_trainer(chosen, data=load_data(chosen)).dev
    targets = torch.cat([batch["labels"][batch["labels"] != -100] for batch in dev.in_order()])
    guess = guess_by_frequency(dev)
    counts = dev.corpus.counts.copy()
    counts[dev.masking.fixed] = 0
    assert guess["accuracy"] == pytest.approx((targets == counts.argmax()).double().mean().item())
    entropy = -(targets.bincount() / len(targets)).xlogy(targets.bincount() / len(targets)).sum().item()
    assert entropy <= guess["loss"] < math.log(len(counts))


# --- mistakes ---


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"encoder": "gau-smal"}, "Did you mean 'gau-small'"),
        ({"batch_size": 4096}, r"has [\d,]+ tokens to train on and \d+ to measure on; a step takes 4096"),
        ({"segmenter": "jieba"}, "pip install 'kexue"),
        ({"vocabulary": "./nowhere"}, "no folder"),
    ],
)
def test_what_cannot_be_trained_is_refused_before_any_work(
    change: dict[str, Any], message: str, texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("kexue.training.pretraining.words.find_spec", lambda name: None)
    with pytest.raises((DataError, OptionError), match=message):
        pretrain(recipe(texts, tmp_path / "encoder", **change), console=QUIET)
    assert not (tmp_path / "encoder" / "training" / "recipe.json").exists()


def test_a_dev_file_is_measured_on_and_not_trained_on(texts: Path, tmp_path: Path):
    dev = save_texts(tmp_path, english(160)[120:], "dev.jsonl")
    chosen = recipe(texts, tmp_path / "encoder", dev=str(dev))
    data = load_pretraining_data(chosen)
    assert (len(data.train_documents), len(data.dev_documents)) == (120, 40)
    assert data.train is not data.dev
    assert data.digest != load_data(recipe(texts, tmp_path / "encoder")).digest


def test_tokens_are_kept_in_a_cache_and_made_anew_when_a_file_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = save_texts(tmp_path, english(100))
    chosen = recipe(path, tmp_path / "encoder", cache=str(tmp_path / "cache"), epochs=0.2)
    first = load_pretraining_data(chosen).digest
    with monkeypatch.context() as patched:
        patched.setattr("kexue.training.pretraining.data.write_corpus", lambda *_: pytest.fail("tokenised again"))
        assert load_pretraining_data(chosen).digest == first
    save_texts(tmp_path, english(101))
    assert load_pretraining_data(chosen).digest != first
    pretrain(chosen, console=QUIET)
    assert (tmp_path / "cache" / "train").is_dir()


def test_a_cache_that_was_left_half_made_for_another_vocabulary_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    chosen = recipe(save_texts(tmp_path, english(100)), tmp_path / "encoder", cache=str(tmp_path / "cache"))
    first = load_pretraining_data(chosen).digest
    with monkeypatch.context() as patched:
        patched.setattr("kexue.training.pretraining.data.write_corpus", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            load_pretraining_data(chosen.model_copy(update={"vocab_size": 300}))
    assert load_pretraining_data(chosen).digest == first


def test_chinese_without_a_segmenter_is_noted(tmp_path: Path):
    chosen = recipe(save_texts(tmp_path, chinese(30)), tmp_path / "encoder")
    assert any("pip install 'kexue[chinese]'" in note for note in load_pretraining_data(chosen).notes)
    other = recipe(save_texts(tmp_path, english(60)), tmp_path / "other")
    assert not any("kexue[chinese]" in note for note in load_pretraining_data(other).notes)


def test_paths_in_a_recipe_file_are_relative_to_it(tmp_path: Path):
    (tmp_path / "recipe.toml").write_text('texts = ["a.txt", "b"]\ndev = "d.txt"\noutput = "out"\nminutes = 3\n')
    read = PretrainingRecipe.from_file(tmp_path / "recipe.toml", {"seed": 3})
    assert read.texts == [tmp_path / "a.txt", tmp_path / "b"]
    assert (read.dev, read.output, read.minutes) == (tmp_path / "d.txt", tmp_path / "out", 3)
    with pytest.raises(OptionError, match="epochs or minutes, not both"):
        PretrainingRecipe.from_file(tmp_path / "recipe.toml", {"epochs": 3})


def test_data_of_the_extraction_tests_can_be_pre_trained_on(tmp_path: Path):
    paths = save_data(tmp_path, train=60)
    assert len(load_pretraining_data(recipe([paths["train"], paths["dev"]], tmp_path / "encoder")).train) == 66
