"""The README keeps its word: its commands and options exist, its examples are valid, its links lead on."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from kexue.extraction.document import Document

ROOT = Path(__file__).resolve().parents[2]
READMES = ("README.md", "README.zh.md")
DOCS = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md"))
PAGES = (*READMES, "CONTRIBUTING.md", "CHANGELOG.md", *DOCS)


def text(page: str) -> str:
    return (ROOT / page).read_text("utf-8")


def commands(page: str) -> list[tuple[str, list[str]]]:
    """(command, options) of each line of a code block that begins with kexue; `graph` has commands of its own."""
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", text(page), re.DOTALL | re.MULTILINE)
    shell = "".join(content for language, content in blocks if language == "bash")
    lines = re.findall(r"^kexue ((?:graph )?\w+)([^#\n]*)", shell, re.MULTILINE)
    return [(command, re.findall(r"--[a-z-]+", rest)) for command, rest in lines]


@cache
def help_of(command: str) -> str:
    code = "from kexue.cli.main import main; main()"
    environment = os.environ | {"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"}
    run = subprocess.run(
        [sys.executable, "-c", code, *command.split(), "--help"], capture_output=True, text=True, env=environment
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


@pytest.mark.parametrize(("command", "options"), commands("README.md"))
def test_every_command_of_the_readme_exists_with_its_options(command: str, options: list[str]):
    shown = help_of(command)
    assert all(option in shown for option in options)


def test_both_readmes_show_the_same_commands():
    assert commands("README.md") == commands("README.zh.md")
    assert len(commands("README.md")) >= 5


@pytest.mark.parametrize("page", READMES)
def test_the_verbs_of_the_readme_are_targets_of_the_makefile(page: str):
    verbs = set(re.findall(r"^make (\w+)", text(page), re.MULTILINE))
    assert verbs == {"demo", "test"}
    assert verbs <= set(re.findall(r"^(\w+):", text("Makefile"), re.MULTILINE))


@pytest.mark.parametrize("page", READMES)
def test_the_records_of_the_readme_are_documents(page: str):
    records = re.findall(r"```json\n(.*?)```", text(page), re.DOTALL)
    assert records
    for record in records:
        document = Document.from_json(json.loads(record))
        assert document.relations
        for span in (end for relation in document.relations for end in (relation.subject, relation.object)):
            assert re.fullmatch(r"\w+", span.surface(document.text))


def attributes(code: str) -> set[str]:
    return {node.attr for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Attribute)}


@pytest.mark.parametrize("page", READMES)
def test_the_python_of_the_readme_is_python_with_names_that_exist(page: str):
    extraction, generation = re.findall(r"```python\n(.*?)```", text(page), re.DOTALL)
    assert {"from_pretrained", "pipe", "relations", "surface"} <= attributes(extraction)
    assert {"from_pretrained", "sample", "encode", "log_likelihood", "bits_per_dim"} <= attributes(generation)


@pytest.mark.parametrize("page", PAGES)
def test_links_to_our_own_files_lead_somewhere(page: str):
    targets = re.findall(r"\]\((?!https?://|#)([^)#]+)", text(page))
    missing = [target for target in targets if not (ROOT / page).parent.joinpath(target).exists()]
    assert not missing
