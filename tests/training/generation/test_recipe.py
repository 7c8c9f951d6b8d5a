"""A recipe of a generation training: parts by name, wrong keys refused, sources beside the file found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kexue.diffusion.images import read_images, write_npz
from kexue.diffusion.objectives import Simple
from kexue.diffusion.prediction import V
from kexue.diffusion.samplers import DDIM, Heun
from kexue.diffusion.schedules import Cosine, LinearVP
from kexue.errors import DataError, OptionError
from kexue.training.generation.data import load_generation_data
from kexue.training.generation.recipe import GenerationRecipe
from kexue.training.job import choose_job
from tests.training.generation.tiny import recipe, save_digits

ROOT = Path(__file__).resolve().parents[3]


def test_parts_are_named_or_described(tmp_path: Path):
    made = recipe(
        "digits",
        tmp_path,
        schedule={"name": "cosine", "offset": 0.01},
        parameterization="v",
        objective={"name": "simple", "of": {"name": "v"}},
        sampler="heun",
    )
    assert made.make_schedule() == Cosine(offset=0.01)
    assert made.make_parameterization() == V()
    assert made.make_objective() == Simple(V())
    assert made.make_sampler() == Heun()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epoch": 3}, "Did you mean 'epochs'"),
        ({"schedule": "linear"}, "unknown schedule 'linear'"),
        ({"schedule": {"name": "cosine", "ofset": 1}}, "Did you mean 'offset'"),
        ({"sampler": "ddin"}, "Did you mean 'ddim'"),
        ({"network": "resnet"}, "network = 'resnet'"),
        ({"encoder": "minilm"}, "unknown key 'encoder'"),
    ],
)
def test_a_wrong_key_or_part_is_refused_with_the_right_one(tmp_path: Path, change: dict[str, Any], message: str):
    with pytest.raises(OptionError, match=message):
        recipe("digits", tmp_path, **change)


def test_sources_beside_the_file_are_meant_and_others_are_left_alone(tmp_path: Path):
    save_digits(tmp_path)
    (tmp_path / "recipe.toml").write_text('train = "digits.npz"\ndev = "hub:a/b"\noutput = "out"\n')
    read = GenerationRecipe.from_file(tmp_path / "recipe.toml", {"epochs": 3})
    assert read.train == str(tmp_path / "digits.npz")
    assert read.dev == "hub:a/b"
    assert read.output == tmp_path / "out"
    assert read.epochs == 3


@pytest.mark.parametrize("path", sorted((ROOT / "recipes").glob("*.toml")), ids=lambda path: path.stem)
def test_every_recipe_for_images_can_be_read(path: Path):
    if choose_job(str(path)) == "generation":
        assert GenerationRecipe.from_file(path).job == "generation"


def test_the_default_is_a_cheap_sampler_on_hos_schedule(tmp_path: Path):
    plain = GenerationRecipe.from_values({"train": "digits", "output": tmp_path})
    assert plain.make_schedule() == LinearVP()
    assert plain.make_sampler() == DDIM()
    assert plain.make_objective() == Simple(V())


# --- data ---


def test_a_tenth_is_held_out_by_the_seed(tmp_path: Path):
    path = save_digits(tmp_path)
    data = load_generation_data(recipe(path, tmp_path))
    assert (len(data.train), len(data.dev)) == (45, 5)
    assert not set(data.train.names) & set(data.dev.names)
    assert data.dev.names != load_generation_data(recipe(path, tmp_path, seed=7)).dev.names
    given = load_generation_data(recipe(path, tmp_path, dev=str(path)))
    assert (len(given.train), len(given.dev)) == (50, 50)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"batch_size": 46}, "45 images to train on and 5 to measure on; a batch needs 46 \\(--batch-size"),
        ({"dev": "tiles"}, r"images of \(3, 32, 32\), those to train on are \(1, 8, 8\)"),
        ({"dev": "nothing"}, "no such folder or file"),
    ],
)
def test_images_that_do_not_fit_are_refused_before_any_work(tmp_path: Path, change: dict[str, Any], message: str):
    with pytest.raises(DataError, match=message):
        load_generation_data(recipe(save_digits(tmp_path), tmp_path, **change))


def test_of_a_few_images_one_is_held_out(tmp_path: Path):
    write_npz(tmp_path / "few.npz", read_images("digits").pixels[:6], max_value=16)
    data = load_generation_data(recipe(tmp_path / "few.npz", tmp_path, batch_size=5))
    assert (len(data.train), len(data.dev)) == (5, 1)
    with pytest.raises(DataError, match=r"5 images to train on and 1 to measure on; .* unless --dev names others"):
        load_generation_data(recipe(tmp_path / "few.npz", tmp_path, batch_size=6))


def test_classes_that_are_not_there_are_refused(tmp_path: Path):
    write_npz(tmp_path / "x.npz", read_images("digits").pixels[:50], max_value=16)
    with pytest.raises(DataError, match="needs classes for all images"):
        load_generation_data(recipe(tmp_path / "x.npz", tmp_path, conditional=True))


# --- which job ---


def test_the_job_is_seen_from_the_data(tmp_path: Path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.PNG").touch()
    (tmp_path / "brat").mkdir()
    (tmp_path / "brat" / "a.ann").touch()
    for name in ("x.npz", "x.parquet", "x.jsonl"):
        (tmp_path / name).touch()
    for data in (tmp_path / "images", tmp_path / "x.npz", tmp_path / "x.parquet", "digits", "tiles", "hub:a/b"):
        assert choose_job(str(data)) == "generation"
    for data in (tmp_path / "brat", tmp_path / "x.jsonl", tmp_path / "missing"):
        assert choose_job(str(data)) == "extraction"
    assert choose_job(str(tmp_path / "x.npz"), "extraction") == "extraction"


def test_a_recipe_names_its_job_and_a_mixed_folder_asks_for_one(tmp_path: Path):
    (tmp_path / "r.toml").write_text('job = "generation"')
    (tmp_path / "s.toml").write_text('encoder = "minilm"')
    assert choose_job(str(tmp_path / "r.toml")) == "generation"
    assert choose_job(str(tmp_path / "s.toml")) == "extraction"
    (tmp_path / "a.png").touch()
    (tmp_path / "a.txt").touch()
    with pytest.raises(OptionError, match=r"holds images and texts.*--job"):
        choose_job(str(tmp_path))
    assert choose_job(str(tmp_path), "generation") == "generation"
    with pytest.raises(OptionError, match="Did you mean 'generation'"):
        choose_job(str(tmp_path), "generations")
