"""Plain text on the command line: pre-training, what it says, and what it refuses in one line."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from kexue.encoders.gau import PRESETS
from kexue.encoders.loading import load_encoder
from kexue.files import digest
from tests.commands import Command
from tests.training.pretraining.tiny import SIZES, english, save_texts

SMALL = ["--encoder", "gau-tiny", "--batch-size", "4", "--device", "cpu"]
SETTINGS = [f"--set={it}" for it in ("max_length=64", "min_length=16", "vocab_size=300", "segmenter=ngrams")]


@pytest.fixture(autouse=True)
def tiny_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PRESETS, "gau-tiny", SIZES)


def test_text_becomes_an_encoder_and_every_line_says_something(kexue: Command, tmp_path: Path):
    texts = save_texts(tmp_path, english(60))
    plain = tmp_path / "more.txt"
    plain.write_text("\n\n".join(english(80)[60:]), "utf-8")
    output = tmp_path / "encoder"
    outcome = kexue("pretrain", texts, plain, "--output", output, "--epochs", 2, *SMALL, *SETTINGS)
    assert outcome.code == 0, outcome.err
    assert outcome.out.splitlines() == [str(output)]
    first, second, guess, *epochs = outcome.err.splitlines()
    assert re.fullmatch(r"pre-training gau-tiny on [\d,]+ tokens of \d+ documents, 300 different ones", first)
    assert re.fullmatch(r"measuring on \d+ tokens of \d+ documents", second)
    assert re.fullmatch(r"guessing by frequency alone: \d+\.\d% of hidden words right, perplexity \d+(\.\d+)?", guess)
    assert [line.split()[1] for line in epochs] == ["1/2", "2/2"]
    assert load_encoder(output)[0].config.hidden_size == 32
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(f'texts = ["texts.jsonl"]\nencoder = "{output}"\nmax_length = 64\nmin_length = 16\n')
    again = kexue("pretrain", recipe, "--output", tmp_path / "on", "--epochs", 1, "--batch-size", 4, "--device", "cpu")
    assert again.code == 0, again.err
    shown = kexue("info", output)
    assert shown.code == 0
    assert f"{output}: pre-trained encoder, gau, 0.0 M parameters" in shown.out
    assert re.search(r"^dev: \d+\.\d% of hidden words right", shown.out, re.MULTILINE)
    assert f"sha256 {digest(texts)}" in shown.out and f"sha256 {digest(plain)}" in shown.out
    (output / "model.safetensors").write_bytes(b"")
    assert "model.safetensors" in kexue("info", output).complaint


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"", "there is no text in it to train on"),
        ("a.txt", b"\n \n", "there is no text in it to train on"),
        ("a.txt", b"fine\n\xc4\xe3", "a.txt:2: is not UTF-8"),
        ("a.jsonl", b'{"text": "a"}\n{"body": "b"}', "a.jsonl:2: the record lacks 'text'; it has ['body']"),
        ("a.txt", b"too little", "tokens to train on and"),
    ],
)
def test_text_that_cannot_be_used_is_named(name: str, content: bytes, message: str, kexue: Command, tmp_path: Path):
    (tmp_path / name).write_bytes(content)
    outcome = kexue("pretrain", tmp_path / name, "--output", tmp_path / "out", *SMALL, *SETTINGS)
    assert message in outcome.complaint
    assert str(tmp_path / name) in outcome.complaint


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--set", "max_lenght=64"], "Did you mean 'max_length'"),
        (["--epochs", "1", "--minutes", "1"], "give epochs or minutes, not both"),
        (["--format", "json"], "Did you mean 'jsonl'"),
        (["--encoder", "gau-tiney"], "Did you mean 'gau-tiny'"),
        (["--set", "min_length=100"], "min_length 100 must not be larger than max_length 64"),
        (["--set", "mask_rate=0"], "mask_rate = 0"),
        (["--set", "regularizer=rdrop"], "a pre-training takes no regularizer"),
    ],
)
def test_options_that_are_wrong_are_named(options: list[str], message: str, kexue: Command, tmp_path: Path):
    texts = save_texts(tmp_path, english(40))
    outcome = kexue("pretrain", texts, "--output", tmp_path / "out", *SMALL, *SETTINGS, *options)
    assert message in outcome.complaint
