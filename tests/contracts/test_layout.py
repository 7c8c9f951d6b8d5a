"""What `ls` promises: folders named by their subject, files that open with their idea, one vocabulary."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "kexue"
MODULES = sorted(PACKAGE.rglob("*.py"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def own_files() -> list[Path]:
    """Every text file that belongs to the project."""
    folders = [ROOT / folder for folder in ("src", "tests", "scripts", "docs", ".ci", "recipes", "examples")]
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    files += [*ROOT.glob("*.md"), *ROOT.glob("*.toml"), *ROOT.glob("*.txt"), ROOT / "Makefile"]
    skipped = {".gz", ".npz", ".pyc", ".png", ".spacy", ".parquet"}
    return sorted(path for path in files if path.suffix not in skipped and "__pycache__" not in path.parts)


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_a_module_opens_with_its_idea_in_one_sentence(path: Path):
    docstring = ast.get_docstring(ast.parse(path.read_text("utf-8")))
    if path.name == "__init__.py" and not path.read_text("utf-8").strip():
        return
    assert docstring, "the module has no docstring"
    first = re.split(r"\n\s*\n", docstring)[0].splitlines()[0]
    assert first.rstrip().endswith((".", "?")), f"the first line is no sentence: {first!r}"


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_a_file_holds_one_idea_and_stays_under_four_hundred_lines(path: Path):
    assert len(path.read_text("utf-8").splitlines()) <= 400


def test_folders_are_named_by_their_subject():
    parts = {part for path in MODULES for part in path.relative_to(PACKAGE).with_suffix("").parts}
    assert not parts & {"utils", "util", "core", "common", "misc", "helpers", "base"}


def test_every_part_of_the_package_has_its_place_on_the_ladder():
    (contract,) = PROJECT["tool"]["importlinter"]["contracts"]
    ladder = {part.strip() for layer in contract["layers"] for part in layer.split("|")}
    parts = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" and path.stem != "__init__"}
    parts |= {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}
    assert parts == ladder


def test_names_that_mislead_are_not_used():
    misleading = re.compile("alpha" + r"_bar|tril_" + r"mask|padding_" + "mask")
    ours = [path for path in MODULES if "peers" not in path.parts]  # peers are called by their own names
    assert not [name(path) for path in ours if misleading.search(path.read_text("utf-8"))]


def test_nothing_names_a_place_on_somebodys_machine():
    place = re.compile(r"(?<![\w.~-])/(?:root|home|work|Users)/|file://|(?:index|find)-(?:url|links)")
    found = [
        f"{name(path)}: {match.group()}"
        for path in own_files()
        if path != Path(__file__) and (match := place.search(path.read_text("utf-8")))
    ]
    assert not found


def test_nothing_is_left_to_do_in_comments():
    found = [name(path) for path in MODULES if re.search(r"\b(?:TODO|FIXME|XXX)\b", path.read_text("utf-8"))]
    assert not found
