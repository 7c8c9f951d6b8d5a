"""Images on the command line: train, generate and evaluate; what one writes the next one reads."""

from __future__ import annotations

from pathlib import Path

import pytest

from kexue.diffusion.checkpoint import load_generator
from kexue.diffusion.denoisers import DENOISERS
from kexue.diffusion.images import read_images
from tests.commands import Command
from tests.training.generation.tiny import TinyGAU, save_digits, values
from tests.training.tiny import read_json


@pytest.fixture(autouse=True)
def tiny_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(DENOISERS, "gau", TinyGAU)


def settings(**changes: object) -> list[str]:
    given = {key: value for key, value in values("x", Path("y"), **changes).items() if key not in ("train", "output")}
    return [f"--set={key}={str(value).lower()}" for key, value in given.items()]


def test_images_are_trained_on_drawn_and_measured(kexue: Command, tmp_path: Path):
    data, model = save_digits(tmp_path), tmp_path / "model"
    done = kexue("train", data, "--output", model, *settings(conditional=True))
    assert (done.code, done.out) == (0, f"{model}\n")
    assert "training a generator on 45 images of 8 x 8 x 1, 10 classes" in done.err
    assert load_generator(model).metrics["steps"] == 13

    for name in ("grid.png", "walk.gif", "images.npz"):
        drawn = kexue(
            "generate", model, "--num", 5, "--steps", 3, "--label", 3, "--label", 7, "--output", tmp_path / name
        )
        assert (drawn.code, drawn.out) == (0, f"{tmp_path / name}\n")
    assert len(read_images(tmp_path / "images.npz")) == 5
    command = ("generate", model, "--num", 5, "--sampler", "ddim", "--set", "eta=1.0", "--steps", 3, "--seed", 4)
    for name in ("a.npz", "b.npz"):
        assert kexue(*command, "--output", tmp_path / name).code == 0
    assert (read_images(tmp_path / "a.npz").pixels == read_images(tmp_path / "b.npz").pixels).all()

    report, near = tmp_path / "report.json", tmp_path / "near.png"
    walk = ("--sampler", "adams", "--set", "eta=1.0", "--steps", 3)
    measured = kexue(
        "evaluate", model, data, "--num", 8, *walk, "--likelihood", 2, "--output", report, "--neighbours", near
    )
    assert measured.code == 0
    assert "Frechet distance" in measured.out
    assert read_json(report)["bits_per_dim"]["num"] == 2
    assert read_json(report)["num_real"] == 5
    assert near.exists()
    card = (model / "README.md").read_text("utf-8")
    assert f"| frechet distance | {read_json(report)['frechet_distance']:.4f} |" in card
    assert "num 8, sampler adams, eta 1.0, steps 3" in card
    without = kexue("evaluate", model, data, "--num", 8, *walk[:2], *walk[-2:], "--no-card")
    assert without.out.splitlines()[1] != measured.out.splitlines()[1]

    shown = kexue("info", model)
    facts = ("gau generator", "8 x 8 x 1, pixels 0 to 16", "predicts v", "0, 1, 2", "13 steps", "dev: loss ", "sha256 ")
    assert shown.code == 0
    assert not [fact for fact in facts if fact not in shown.out]


def test_a_recipe_trains_and_options_override_it(kexue: Command, tmp_path: Path):
    save_digits(tmp_path)
    numbers = {key: value for key, value in values("x", tmp_path).items() if isinstance(value, int | float)}
    lines = [f"{key} = {value}" for key, value in numbers.items()]
    text = "\n".join(['job = "generation"', 'train = "digits.npz"', 'output = "model"', 'network = "gau"', *lines])
    (tmp_path / "recipe.toml").write_text(text)
    done = kexue("train", tmp_path / "recipe.toml", "--epochs", 1)
    assert done.out == f"{tmp_path / 'model'}\n"
    assert load_generator(tmp_path / "model").metrics["steps"] == 5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("train", "digits", "--output", "x", "--encoder", "minilm"), "unknown key 'encoder'"),
        (("train", "digits", "--output", "x", "--job", "generate"), "Did you mean 'generation'"),
        (("train", "digits", "--output", "x", "--batch-size", 5000), "a batch needs 5000"),
        (("generate", "nothing"), "there is no such folder"),
        (("generate", ".", "--sampler", "henu"), "Did you mean 'heun'"),
        (("generate", ".", "--set", "eto=1"), "Did you mean 'eta'"),
        (("generate", ".", "--output", "x.jpg"), "cannot write images as 'x.jpg'"),
    ],
)
def test_a_mistake_is_one_line_with_the_remedy(kexue: Command, arguments: tuple[object, ...], message: str):
    assert message in kexue(*arguments).complaint


def test_a_generator_is_no_extractor(kexue: Command, tmp_path: Path):
    model = tmp_path / "model"
    assert kexue("train", save_digits(tmp_path), "--output", model, *settings(epochs=1)).code == 0
    assert kexue("extract", model, stdin=b"text").complaint


def test_the_help_of_generate_shows_an_example_of_its_own(kexue: Command):
    shown = kexue("generate", "--help")
    assert "kexue generate runs/digits" in shown.out
