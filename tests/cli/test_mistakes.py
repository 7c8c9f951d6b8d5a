"""A user's mistake: exit code 2 and one line that names file, line and remedy; never a traceback."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from kexue.cli import commands, console
from tests.commands import Command
from tests.training.tiny import save_encoder


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "empty.jsonl").touch()
    (tmp_path / "broken.jsonl").write_text('{"text": "a", "entities": []}\n{"text": \n')
    (tmp_path / "gbk.txt").write_bytes("好\n".encode() + "坏\n".encode("gb18030"))
    (tmp_path / "good.txt").write_text("Aspirin caused a rash.\n")
    (tmp_path / "bare.jsonl").write_text("".join(f'{{"text": "{text}", "entities": []}}\n' for text in "abc"))
    (tmp_path / "typo.toml").write_text('train = "a.jsonl"\noutput = "out"\nepoch = 3\n')
    (tmp_path / "table.csv").write_text("text;company\nGlobex hires.;Globex\n")
    (tmp_path / "folder").mkdir()
    return tmp_path


MISTAKES = [
    ("train {files}/none.jsonl --output {files}/out", "{files}/none.jsonl:"),
    ("train {files}/empty.jsonl --output {files}/out", "{files}/empty.jsonl:"),
    ("train {files}/broken.jsonl --output {files}/out", "{files}/broken.jsonl:2:"),
    ("train {files}/bare.jsonl --output {files}/out", "{files}/bare.jsonl: holds no annotated entity"),
    ("train {files}/bare.jsonl", "options: 'output' is missing"),
    ("train {files}/bare.jsonl --output {files}/out --epochs -1", "options: epochs = -1"),
    ("train {files}/bare.jsonl --output {files}/out --batch-size 0", "options: batch_size = 0"),
    ("train {files}/bare.jsonl --output {files}/out --set epohs=3", "Did you mean 'epochs'?"),
    (
        "train {files}/bare.jsonl --output {files}/out --set head=gplnker",
        "head = 'gplnker': unknown head 'gplnker'. Did",
    ),
    ("train {files}/bare.jsonl --output {files}/out --set epochs", "--set takes KEY=VALUE"),
    ("train {files}/bare.jsonl --output {files}/out --device cuda:1", "device = 'cuda:1'"),
    ("train {files}/bare.jsonl --output {files}/out --format conl", "Did you mean 'conll'?"),
    ("train {files}/typo.toml", "{files}/typo.toml: unknown key 'epoch'. Did you mean 'epochs'?"),
    ("train {files}/none.toml", "{files}/none.toml: there is no such file"),
    ("evaluate {model} {files}/none.jsonl", "{files}/none.jsonl:"),
    ("evaluate {files}/folder {gold}", "{files}/folder: has no kexue.json"),
    ("evaluate {files}/none {gold}", "{files}/none: there is no such folder"),
    ("evaluate {model} {gold} --precision 0.5", "no thresholds for precision 0.5"),
    ("evaluate {model} {gold} --format natve", "Did you mean 'native'?"),
    ("evaluate {model} {gold} --device gpu", "device 'gpu' cannot be used"),
    ("evaluate {files}/bare.jsonl {gold}", "10 gold documents but 3 predicted"),
    ("extract {files}/none {files}/good.txt", "{files}/none: there is no such folder"),
    ("extract {files}/folder {files}/good.txt", "{files}/folder: has no kexue.json"),
    ("extract {model} {files}/none.txt", "{files}/none.txt: there is no such file"),
    ("extract {model} {files}/folder", "{files}/folder: shards are written to a folder: name it with --output FOLDER"),
    ("extract {model} {files}/folder --output {files}/out", "{files}/folder: holds no file of text (.json,"),
    ("extract {model} {files}/*.tsv --output {files}/out", "{files}/*.tsv: holds no file of text"),
    ("extract {model} {files}/none.parquet --output {files}/out", "{files}/none.parquet: there is no such file"),
    ("extract {model} {files}/good.txt --output {files}/out --format csv", "Allowed: 'jsonl', 'parquet'"),
    ("extract {model} {files}/good.txt --output {files}/out --engine spark", "Allowed: 'plain', 'ray'"),
    ("extract {model} {files}/good.txt --output {files}/out --workers 2", "go with --engine ray"),
    (
        "extract {model} {files}/good.txt --output {files}/out --engine ray --device cpu",
        "--device is for --engine plain",
    ),
    ("extract {model} --shard-size 4", "shards need an INPUT file, folder or pattern, and --output FOLDER"),
    ("extract {model} {files} --output {files}", "{files}: the input lies in this folder"),
    ("generate {model} --shard-size 64 --output {files}/grid.png", "written to a folder: name it with --output FOLDER"),
    ("extract {model} {files}/gbk.txt --output {files}/out", "{files}/gbk.txt:2: is not UTF-8 (byte 0xbb)"),
    ("extract {model} {files}/broken.jsonl --output {files}/out", "{files}/broken.jsonl:2: is not a JSON record"),
    ("extract {model} {files}/empty.jsonl --output {files}/out", "{files}/empty.jsonl: is empty"),
    ("extract {model} --output {files}/out", "--output needs an INPUT file"),
    ("extract {model} {files}/good.txt --dtype float16", "Did you mean 'bfloat16'?"),
    ("extract {model} {files}/good.txt --threshold 2", "between 0 and 1, got 2"),
    ("extract {model} {files}/good.txt --precision 0.5", "no thresholds for precision 0.5"),
    ("extract {model} {files}/good.txt --output {files}/folder", "not a folder"),
    ("extract {model} {files}/good.txt --output {files}/good.txt", "not the input"),
    (
        "extract {model} {files}/good.txt --output {files}/bare.jsonl",
        "{files}/bare.jsonl is there already and finished",
    ),
    ("extract {model} {files}/folder --output {files}/out --overwrite", "{files}/out: --overwrite is for one file"),
    (
        "extract {model} {files}/good.txt --output {files}/out.csv",
        "then: kexue convert {files}/out.jsonl {files}/out.csv",
    ),
    ("export {files}/none {files}/out", "{files}/none: there is no such folder"),
    ("export {files}/folder {files}/out", "{files}/folder: has no kexue.json"),
    ("export {model} {model}", "is the model itself"),
    ("export {model} {files}/out --dev {files}/none.jsonl", "{files}/none.jsonl:"),
    ("export {model} {files}/out --dev {files}/bare.jsonl", "{files}/bare.jsonl: holds no annotated entity"),
    ("convert {files}/none {files}/out.jsonl", "{files}/none:"),
    ("convert {gold} {files}/out.jsonl --from natve", "Did you mean 'native'?"),
    ("convert {gold} {files}/out.xyz", "no format is known for the suffix '.xyz'"),
    ("convert {gold} {files}/out --to bratt", "Did you mean 'brat'?"),
    ("convert {gold} {files}/empty.jsonl/out.jsonl", "{files}/empty.jsonl: is a file, and a folder is needed there"),
    ("export {model} {files}/empty.jsonl", "{files}/empty.jsonl: is a file, and a folder is needed there"),
    ("convert {files}/table.csv {files}/out.jsonl", "{files}/table.csv: csv is only written"),
    ("convert {gold} {files}/out.jsonl --from csv", "csv is only written; of the formats that are read, native"),
    ("doctor {files}/folder", "{files}/folder: is an empty folder"),
    ("doctor {files}/none.jsonl", "{files}/none.jsonl:"),
    ("info {files}/none", "{files}/none: there is no such folder"),
]


@pytest.mark.parametrize(("line", "said"), MISTAKES, ids=[line.replace("{files}/", "") for line, _ in MISTAKES])
def test_a_mistake_is_one_line(line: str, said: str, files: Path, fitted: Path, gold: Path, kexue: Command):
    places = {"files": files, "model": fitted, "gold": gold}
    assert said.format(**places) in kexue(*line.format(**places).split()).complaint
    assert not (files / "out").exists()


def test_a_mistake_on_stdin_is_one_line_too(fitted: Path, kexue: Command):
    assert "stdin:1: is not UTF-8 (byte 0xff)" in kexue("extract", fitted, stdin=b"\xff\n").complaint
    done = kexue("extract", fitted, stdin=b'{"text": "good"}\n{"txt": "bad"}\n')
    assert 'stdin:2: has no string "text"' in done.err and done.code == 2


@pytest.mark.parametrize(
    "command",
    [
        "evaluate {model} {gold} --no-card --output {gold}",
        "evaluate {model} {gold} --no-card --page {gold}",
        "evaluate {model} {gold} --no-card --predictions {gold}",
        "doctor {gold} --output {gold}",
        "suggest {model} {gold} --output {gold}",
        "suggest {model} {files}/good.txt --known {gold} --output {gold}",
        "extract {model} {gold} --output {gold}",
        "convert {gold} {gold} --to doccano",
    ],
)
def test_no_output_replaces_an_input(command: str, fitted: Path, gold: Path, files: Path, kexue: Command):
    own = files / "gold.jsonl"
    own.write_bytes(gold.read_bytes())
    said = kexue(*command.format(model=fitted, gold=own, files=files).split()).complaint
    assert f"{own}: the output must be a file of its own, not the input" in said
    assert own.read_bytes() == gold.read_bytes()


def test_a_folder_that_holds_something_is_not_replaced_by_one_of_brat(gold: Path, files: Path, kexue: Command):
    (files / "folder" / "thesis.tex").write_text("years of work")
    assert f"{files / 'folder'}: is a folder that holds something" in kexue("convert", gold, files / "folder").complaint
    assert (files / "folder" / "thesis.tex").read_text() == "years of work"
    assert kexue("convert", gold, files / "new").code == 0


def test_a_mistake_in_the_doctors_encoder_is_one_line(gold: Path, kexue: Command, tmp_path: Path):
    done = kexue("doctor", gold, "--encoder", tmp_path / "none")
    assert done.code == 2 and "Traceback" not in done.err


def test_an_encoder_whose_weights_are_missing_is_named(gold: Path, kexue: Command, tmp_path: Path):
    (save_encoder(tmp_path / "encoder") / "model.safetensors").unlink()
    done = kexue("train", gold, "--encoder", tmp_path / "encoder", "--output", tmp_path / "out")
    assert done.code == 2 and f"{tmp_path / 'encoder'}: has no weights" in done.err.splitlines()[-1]


@pytest.mark.parametrize(
    "arguments", [["trian"], ["train"], ["train", "a", "--epohs", "3"], ["train", "a", "--epochs", "many"], ["--nope"]]
)
def test_a_wrong_usage_is_code_two_without_a_traceback(arguments: list[str], kexue: Command):
    done = kexue(*arguments)
    assert done.code == 2 and "Traceback" not in done.err and done.err


def test_a_machine_that_fails_is_code_one_and_one_line(kexue: Command, monkeypatch: pytest.MonkeyPatch):
    def fail(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "out.jsonl")

    monkeypatch.setattr(commands.info, "_installation", fail)
    done = kexue("info")
    assert done.code == 1 and len(done.err.splitlines()) == 1 and "out.jsonl" in done.err


def test_a_bug_keeps_its_traceback(kexue: Command, monkeypatch: pytest.MonkeyPatch):
    def fail(*arguments: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(commands.info, "_installation", fail)
    with pytest.raises(ZeroDivisionError):
        kexue("info")


def test_brackets_in_a_message_are_not_taken_for_markup(kexue: Command):
    assert "[red]none[/red]: there is no such folder" in kexue("info", "./[red]none[/red]").err.replace("\n", "")


def test_messages_are_not_wrapped(kexue: Command, tmp_path: Path):
    assert console.err.soft_wrap
    assert len(kexue("info", tmp_path / ("long" * 40)).complaint) > 160
