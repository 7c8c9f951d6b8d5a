"""How a recipe asks for regularisers, and what it is told of its mistakes."""

from __future__ import annotations

import re
import tomllib
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from kexue.errors import OptionError
from kexue.training.extraction.recipe import ExtractionRecipe
from kexue.training.regularizers import REGULARIZERS, make_regularizers


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        ("rdop", "unknown regularizer 'rdop'. Did you mean 'rdrop'?"),
        ({"name": "rdrop", "alfa": 2}, "regularizer 'rdrop': unknown key 'alfa'. Did you mean 'alpha'?"),
        ({"name": "vat", "radius": 0}, "regularizer 'vat': radius = 0: Input should be greater than 0"),
        ({"name": "rdrop", "divergence": "softmx"}, "regularizer 'rdrop': divergence = 'softmx'"),
        ({"name": "distillation"}, "regularizer 'distillation': 'teacher' is missing"),
        (["rdrop", 7], "a regularizer is a name, or a table of a name and its fields; got 7"),
        ({"alpha": 1.0}, "unknown regularizer ''"),
    ],
)
def test_a_mistake_is_named(value: Any, complaint: str):
    with pytest.raises(OptionError) as error:
        ExtractionRecipe.from_values({"train": "t", "output": "o", "regularizer": value}, source="recipe.toml")
    assert str(error.value).startswith("recipe.toml: regularizer")
    assert complaint in str(error.value)


def test_a_recipe_names_one_or_a_table_or_several_and_a_teacher_beside_it(tmp_path: Path):
    (tmp_path / "large").mkdir()
    file = tmp_path / "recipe.toml"
    head = 'train = "train.jsonl"\noutput = "out"\n'
    for text, names in (
        ('regularizer = "rdrop"\n', ["RDrop"]),
        ('[regularizer]\nname = "distillation"\nteacher = "large"\n', ["Distillation"]),
        (
            '[[regularizer]]\nname = "fgm"\n[[regularizer]]\nname = "distillation"\nteacher = "large"',
            ["FGM", "Distillation"],
        ),
    ):
        file.write_text(head + text)
        made = make_regularizers(ExtractionRecipe.from_file(file).regularizer)
        assert [type(regularizer).__name__ for regularizer in made] == names
        assert all(getattr(one, "teacher", str(tmp_path / "large")) == str(tmp_path / "large") for one in made)


def test_the_recipe_of_a_model_says_how_it_was_regularized():
    table = {"name": "rdrop", "alpha": 2.0}
    recipe = ExtractionRecipe.from_values({"train": "t", "output": "o", "regularizer": table})
    assert recipe.to_json()["regularizer"] == table
    assert ExtractionRecipe.from_values(recipe.to_json()).regularizer == table
    assert "regularizer" not in ExtractionRecipe.from_values({"train": "t", "output": "o"}).to_json()


@pytest.mark.parametrize("name", REGULARIZERS)
def test_every_regularizer_has_its_card_with_all_its_fields(name: str):
    page = (Path(__file__).resolve().parents[3] / "docs" / "regularizers.md").read_text("utf-8")
    assert f"| `{name}` |" in page
    (shown,) = re.findall(rf'`regularizer = {{name = "{name}", (.*)}}`', page)
    values = tomllib.loads(f"table = {{{shown}}}")["table"]
    made = REGULARIZERS[name](**values)
    defaults = {field.name: field.default for field in fields(made)}  # type: ignore[arg-type]
    assert values.keys() | {"divergence"} == defaults.keys() | {"divergence"}
    for key, value in values.items():
        assert getattr(defaults[key], "default", defaults[key]) == value or key in ("teacher", "divergence")
