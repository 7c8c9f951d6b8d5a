"""Recipes: defaults that work, files that are read, mistakes that are named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kexue.errors import OptionError
from kexue.training.extraction.recipe import ExtractionRecipe
from kexue.training.recipe import parse_assignments

GIVEN = {"train": "train.jsonl", "output": "runs/mine"}


def refused(values: dict[str, Any]) -> str:
    with pytest.raises(OptionError) as error:
        ExtractionRecipe.from_values(GIVEN | values, source="recipe.toml")
    return str(error.value)


def test_only_data_and_output_must_be_given():
    assert ExtractionRecipe.from_values(GIVEN).train == Path("train.jsonl")
    with pytest.raises(OptionError, match="'output' is missing"):
        ExtractionRecipe.from_values({"train": "train.jsonl"})


@pytest.mark.parametrize(("misspelt", "right"), [("epoch", "epochs"), ("batchsize", "batch_size")])
def test_a_misspelt_key_gives_the_right_one(misspelt: str, right: str):
    message = refused({misspelt: 3})
    assert message.startswith("recipe.toml: unknown key") and f"Did you mean {right!r}?" in message


def test_a_misspelt_constraint_gives_the_right_one():
    assert "Did you mean 'functional'?" in refused({"constraints": {"born in": {"functionl": True}}})


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"epochs": 0}, "epochs = 0"),
        ({"epochs": float("inf")}, "epochs = inf"),
        ({"epochs": float("nan")}, "epochs = nan"),
        ({"epochs": "many"}, "epochs = 'many'"),
        ({"batch_size": 0}, "batch_size = 0"),
        ({"ema": 1.0}, "ema = 1.0"),
        ({"warmup": 1.0}, "warmup = 1.0"),
        ({"seed": -1}, "seed = -1"),
        ({"seed": 2**32}, "seed = 4294967296"),
        ({"head_dim": 7}, "head_dim = 7"),
        ({"head": "casrell"}, "head = 'casrell'"),
        ({"device": "cuda:1"}, "device = 'cuda:1'"),
        ({"constraints": {"x": {"functional": "perhaps"}}}, "constraints.x.functional = 'perhaps'"),
    ],
)
def test_a_wrong_value_is_named_with_its_key(values: dict[str, Any], said: str):
    assert said in refused(values)


def test_an_overlap_as_wide_as_the_window_is_refused_in_one_short_sentence():
    assert refused({"window": 64, "overlap": 64}) == "recipe.toml: overlap 64 must be smaller than window 64"


def test_all_mistakes_are_told_at_once():
    message = refused({"epoks": 3, "batch_size": 0})
    assert "epoks" in message and "batch_size" in message


def test_a_recipe_is_plain_json_and_back():
    recipe = ExtractionRecipe.from_values(
        GIVEN | {"constraints": {"born in": {"functional": True}}, "entity_types": []}
    )
    assert ExtractionRecipe(**recipe.to_json()) == recipe


def test_paths_in_a_file_are_relative_to_the_file(tmp_path: Path):
    (tmp_path / "encoder").mkdir()
    path = tmp_path / "recipe.toml"
    path.write_text('train = "a.jsonl"\ndev = "b.jsonl"\noutput = "out"\nencoder = "encoder"\nepochs = 3\n', "utf-8")
    recipe = ExtractionRecipe.from_file(path, {"epochs": 5})
    assert (recipe.train, recipe.dev, recipe.output) == (tmp_path / "a.jsonl", tmp_path / "b.jsonl", tmp_path / "out")
    assert recipe.encoder == str(tmp_path / "encoder")
    assert recipe.epochs == 5


def test_an_encoder_that_is_no_folder_beside_the_file_keeps_its_name(tmp_path: Path):
    path = tmp_path / "recipe.toml"
    path.write_text('train = "a.jsonl"\noutput = "out"\nencoder = "gau-tiny"\n', "utf-8")
    assert ExtractionRecipe.from_file(path).encoder == "gau-tiny"


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"train = ", "is not TOML"), ("train = '名'".encode("gb18030"), "cannot be read"), (b"trian = 'a'", "'train'")],
)
def test_a_broken_file_is_named(content: bytes, said: str, tmp_path: Path):
    path = tmp_path / "recipe.toml"
    path.write_bytes(content)
    with pytest.raises(OptionError) as error:
        ExtractionRecipe.from_file(path)
    assert str(error.value).startswith(str(path)) and said in str(error.value)


def test_a_file_that_is_absent_is_named(tmp_path: Path):
    with pytest.raises(OptionError, match=r"none\.toml: cannot be read"):
        ExtractionRecipe.from_file(tmp_path / "none.toml")


def test_assignments_are_read_as_toml_or_as_strings():
    items = ["ema=0", "efficient=false", "encoder=gau-tiny", "entity_types=[]", "dev=a=b.jsonl", 'format="conll"']
    assert parse_assignments(items) == {
        "ema": 0,
        "efficient": False,
        "encoder": "gau-tiny",
        "entity_types": [],
        "dev": "a=b.jsonl",
        "format": "conll",
    }


def test_an_assignment_without_a_value_is_refused():
    with pytest.raises(OptionError, match="KEY=VALUE, got 'ema'"):
        parse_assignments(["ema"])
