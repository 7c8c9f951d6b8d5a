"""Every command does its work and says so; what it writes is what the next one reads."""

from __future__ import annotations

import json
import re
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from kexue.extraction.checkpoint import load_checkpoint
from kexue.extraction.document import Document
from kexue.extraction.formats import read_documents
from kexue.files import digest
from kexue.pipelines import bulk
from kexue.pipelines.extractor import Extractor
from tests.commands import Command
from tests.training.tiny import read_json, save_data, save_encoder, sentences

COMMANDS = (
    "demo", "train", "evaluate", "export", "extract", "generate", "convert", "doctor", "info", "suggest", "study",
)  # fmt: skip


def lines(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_a_command_shows_an_example_of_its_own(command: str, kexue: Command):
    shown = kexue(command, "--help")
    assert shown.code == 0
    assert re.search(rf"Example:\s.*kexue {command}", shown.out.replace("\n", " "))


def test_the_help_lists_the_commands_and_no_arguments_show_it(kexue: Command):
    shown = kexue("--help")
    assert shown.code == 0 and all(f" {command} " in shown.out for command in COMMANDS)
    assert "Usage" in kexue().out + kexue().err


def test_the_version_is_that_of_the_package(kexue: Command):
    assert re.fullmatch(r"kexue \d+\.\d+\.\d+\n", kexue("--version").out)


def test_train_writes_a_model_and_prints_its_folder_alone_on_stdout(kexue: Command, tmp_path: Path):
    data, encoder = save_data(tmp_path), save_encoder(tmp_path / "encoder")
    options = [
        "--encoder",
        encoder,
        "--epochs",
        1,
        "--batch-size",
        8,
        "--seed",
        3,
        "--device",
        "cpu",
        "--set",
        "head_dim=16",
    ]
    done = kexue("train", data["train"], "--dev", data["dev"], "--output", tmp_path / "model", *options)
    assert (done.code, done.out) == (0, f"{tmp_path / 'model'}\n")
    assert re.search(r"^epoch 1/1  step 2  loss \d+\.\d{3}  dev: entities P .* relations P .*$", done.err, re.MULTILINE)
    recipe = load_checkpoint(tmp_path / "model").recipe
    assert (recipe["epochs"], recipe["seed"], recipe["head_dim"], recipe["batch_size"]) == (1.0, 3, 16, 8)


def test_train_takes_a_recipe_whose_keys_the_options_override(kexue: Command, tmp_path: Path):
    save_data(tmp_path)
    save_encoder(tmp_path / "encoder")
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(
        'train = "train.jsonl"\noutput = "model"\nencoder = "encoder"\nepochs = 9\nhead_dim = 16\ndevice = "cpu"\n'
    )
    done = kexue("train", recipe, "--epochs", 1, "--set", "ema=0")
    assert done.code == 0 and "note: no dev file: 2 of 21 training documents are held out" in done.err
    stored = load_checkpoint(tmp_path / "model").recipe
    assert (stored["epochs"], stored["ema"], stored["head_dim"]) == (1.0, 0.0, 16)


def test_extract_reads_stdin_and_writes_stdout(fitted: Path, kexue: Command):
    texts = [item.text for item in sentences(3)] + ["阿司匹林引起皮疹。"]
    found = kexue("extract", fitted, stdin="\n".join(texts).encode())
    assert found.code == 0 and not found.err
    records = lines(found.out)
    assert [record["text"] for record in records] == texts and "阿司匹林" in found.out
    facts = [(fact["subject"]["text"], fact["predicate"], fact["object"]["text"]) for fact in records[0]["relations"]]
    assert facts == [("Phenobarbital", "causes", "hepatotoxicity")]


def test_extract_reads_a_file_and_what_it_writes_is_evaluated(fitted: Path, gold: Path, kexue: Command, tmp_path: Path):
    assert kexue("extract", fitted, gold, "--output", tmp_path / "found.jsonl").err.endswith(
        f"10 documents -> {tmp_path / 'found.jsonl'}\n"
    )
    shown = kexue("extract", fitted, gold)
    assert shown.out == (tmp_path / "found.jsonl").read_text("utf-8")
    report = tmp_path / "report.json"
    assert kexue("evaluate", tmp_path / "found.jsonl", gold, "--output", report, "--bootstrap", 10).code == 0
    assert read_json(report)["relations"]["f1"] == 1.0


@pytest.mark.parametrize(
    ("chunk", "said"),
    [
        (1000, "interrupted: nothing is kept yet, because"),
        (4, "interrupted: 4 documents are kept beside {output}, and the same command goes on from there"),
    ],
)
def test_an_interrupt_says_what_is_kept(
    chunk: int, said: str, fitted: Path, gold: Path, kexue: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    calls = iter(range(100))
    extract = Extractor.extract

    def interrupted(self: Extractor, items: list[Document], **options: Any) -> list[Document]:
        if next(calls) == 4 // chunk:
            raise KeyboardInterrupt
        return extract(self, items, **options)

    monkeypatch.setattr(Extractor, "extract", interrupted)
    monkeypatch.setattr(bulk, "extract_file", partial(bulk.extract_file, chunk=chunk))
    monkeypatch.setattr(bulk, "kept", partial(bulk.kept, chunk=chunk))
    done = kexue("extract", fitted, gold, "--output", tmp_path / "found.jsonl")
    assert done.code == 130 and said.format(output=tmp_path / "found.jsonl") in done.err


def test_extract_takes_thresholds(fitted: Path, gold: Path, kexue: Command):
    def count(*options: object) -> int:
        found = kexue("extract", fitted, gold, *options)
        assert found.code == 0
        return sum(len(record["relations"]) for record in lines(found.out))

    assert count("--threshold", 0) > count("--precision", 0.9) > count("--threshold", 1)
    assert kexue("extract", fitted, gold, "--dtype", "bfloat16", "--batch-tokens", 1).code == 0


def test_evaluate_measures_a_model_and_writes_all_it_is_asked_for(
    fitted: Path, gold: Path, kexue: Command, tmp_path: Path
):
    files = {name: tmp_path / f"{name}.out" for name in ("output", "page", "predictions")}
    options = [part for name, path in files.items() for part in (f"--{name}", path)]
    done = kexue("evaluate", fitted, gold, "--precision", 0.9, "--bootstrap", 10, *options)
    assert done.code == 0 and "expected calibration error, relations: 0." in done.out
    report = read_json(files["output"])
    assert report["relations"]["f1"] > 0.9 and report["calibration_error"]["relations"]["after"] < 0.1
    assert files["page"].read_text("utf-8").startswith("<!doctype html>")
    assert len(read_documents(files["predictions"]).documents) == 10
    assert done.err.count("wrote ") == 4
    card = (fitted / "README.md").read_text("utf-8")
    assert digest(gold) in card and f"{report['relations']['f1']:.3f}" in card.split("measured by `kexue evaluate`")[1]
    quiet = kexue("evaluate", fitted, gold, "--precision", 0.8, "--bootstrap", 0, "--no-card")
    assert not quiet.err and (fitted / "README.md").read_text("utf-8") == card
    assert not kexue("evaluate", files["predictions"], gold, "--bootstrap", 0).err  # no model, no card


def test_evaluate_does_not_stumble_over_labels_that_the_model_does_not_know(
    fitted: Path, kexue: Command, tmp_path: Path
):
    span = {"start": 0, "end": 3, "label": "new"}
    record = {"text": "abc", "entities": [span], "relations": [{"subject": span, "predicate": "new", "object": span}]}
    (tmp_path / "new.jsonl").write_text(json.dumps(record) + "\n")
    assert kexue("evaluate", fitted, tmp_path / "new.jsonl", "--bootstrap", 0).code == 0


def test_convert_counts_what_it_wrote(gold: Path, kexue: Command, tmp_path: Path):
    done = kexue("convert", gold, tmp_path / "brat")
    assert done.code == 0 and not done.out
    assert re.search(r"gold\.jsonl \(native\) -> .*brat \(brat\): 10 documents, \d+ entities, \d+ relations", done.err)
    assert kexue("convert", tmp_path / "brat", tmp_path / "back.jsonl").code == 0
    back = {item.text: set(item.relations) for item in read_documents(tmp_path / "back.jsonl").documents}
    assert back == {item.text: set(item.relations) for item in sentences(10)}


def test_doctor_examines_with_and_without_an_encoder(fitted: Path, gold: Path, kexue: Command, tmp_path: Path):
    assert kexue("doctor", gold, "--output", tmp_path / "findings.json").code == 0
    assert isinstance(read_json(tmp_path / "findings.json"), dict)
    encoder = fitted.parent / "encoder"
    assert kexue("doctor", gold, gold, "--encoder", encoder, "--window", 12).code == 0


def test_info_shows_what_is_installed_or_what_a_model_extracts(fitted: Path, gold: Path, kexue: Command):
    shown = kexue("info")
    assert shown.code == 0 and all(name in shown.out for name in ("python", "torch", "transformers", "devices"))
    shown = kexue("info", fitted)
    assert shown.code == 0 and all(word in shown.out for word in ("gau encoder", "causes", "drug"))
    report = read_json(fitted / "kexue.json")["metrics"]["dev_report"]["relations"]
    assert (
        f"dev relations, with these thresholds: P {report['precision']:.3f} R {report['recall']:.3f} F1 " in shown.out
    )
    assert f"data (train): gold.jsonl, {gold.stat().st_size:,} bytes, sha256 {digest(gold)}" in shown.out
    assert re.search(r"^begun: 20\d\d-.* on .*\nwith: python 3\..*, kexue \d", shown.out, re.MULTILINE)


@pytest.mark.slow
def test_the_demo_trains_measures_extracts_and_shows(kexue: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from kexue.pipelines import demo

    data = save_data(tmp_path)
    encoder = save_encoder(tmp_path / "encoder")
    paths = data | {"test": data["dev"]}
    monkeypatch.setattr(demo, "demo_path", lambda name, split: paths[split])
    train = demo.train
    monkeypatch.setattr(
        demo, "train", lambda recipe, **options: train(recipe.model_copy(update={"encoder": str(encoder)}), **options)
    )
    done = kexue("demo", "--output", tmp_path / "demo", "--epochs", 1)
    assert done.code == 0, done
    assert {"model", "report.json", "errors.html", "facts.html"} <= {
        path.name for path in (tmp_path / "demo").iterdir()
    }
    assert "f1" in read_json(tmp_path / "demo" / "report.json")["relations"]
    assert kexue("demo", "--output", tmp_path / "demo", "--epochs", 1).code == 0
