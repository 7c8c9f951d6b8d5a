"""Importing kexue costs nothing until something is asked of it, and every docstring example runs."""

from __future__ import annotations

import doctest
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "src"


def modules_with_examples() -> list[str]:
    paths = sorted(path for path in SOURCE.rglob("*.py") if ">>> " in path.read_text("utf-8"))
    names = [".".join(path.relative_to(SOURCE).with_suffix("").parts) for path in paths]
    return [name.removesuffix(".__init__") for name in names]


def imported_by(statement: str) -> set[str]:
    """The top-level modules in memory after a statement, in a Python of its own."""
    code = f"import sys\n{statement}\nprint(*{{name.split('.')[0] for name in sys.modules}})"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(run.stdout.split())


@pytest.mark.parametrize(
    "statement",
    ["import kexue", "from kexue.extraction.document import Document", "import kexue.data, kexue.errors"],
)
def test_importing_the_package_or_its_documents_does_not_load_torch(statement: str):
    assert not imported_by(statement) & {"torch", "transformers", "numpy", "spacy", "pyarrow"}


def test_an_attribute_that_does_not_exist_is_refused_as_python_does():
    import kexue

    with pytest.raises(AttributeError, match="Extraktor"):
        kexue.Extraktor  # noqa: B018


@pytest.mark.parametrize("module", modules_with_examples())
def test_the_examples_in_docstrings_run(module: str):
    failed, tried = doctest.testmod(importlib.import_module(module), optionflags=doctest.NORMALIZE_WHITESPACE)
    assert tried
    assert not failed
