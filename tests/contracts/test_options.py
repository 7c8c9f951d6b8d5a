"""What messages say to type exists: every option in a string of the package is one of a command, of the right one."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from kexue.cli.main import app
from kexue.errors import DataError
from kexue.extraction.formats import detect

SOURCE = Path(__file__).resolve().parents[2] / "src" / "kexue"
VERBS: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]
OPTION = re.compile(r"(?<![\w-])--[a-z][\w-]*")
NOT_OURS = {"--upgrade": "pip", "--version": "the root's", "--help": "of every command"}


def options_of(verb: str) -> set[str]:
    """The options of a verb and of the verbs below it."""
    commands = (VERBS[verb], *getattr(VERBS[verb], "commands", {}).values())
    parameters = [parameter for command in commands for parameter in command.params]
    return {spelling for each in parameters for spelling in (*each.opts, *each.secondary_opts)}


OPTIONS = {verb: options_of(verb) for verb in VERBS}


def messages() -> Iterator[tuple[str, str]]:
    """(place, text) of each string that is no docstring; benchmarks have options of their own."""
    for path in sorted(SOURCE.rglob("*.py")):
        if path.is_relative_to(SOURCE / "benchmarks"):
            continue
        tree = ast.parse(path.read_text("utf-8"))
        said = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        parts = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
        for node in ast.walk(tree):
            text = _text(node)
            if text is not None and id(node) not in said | parts and OPTION.search(text):
                yield f"{path.relative_to(SOURCE)}:{getattr(node, 'lineno', 0)}", text


def _text(node: ast.AST) -> str | None:
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "X" for part in node.values)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


MESSAGES = list(messages())


def test_messages_with_options_are_found():
    assert len(MESSAGES) > 40
    assert any("--overwrite it" in text for _, text in MESSAGES)


@pytest.mark.parametrize(("place", "text"), MESSAGES, ids=[place for place, _ in MESSAGES])
def test_every_option_that_a_message_names_is_one_of_a_command(place: str, text: str):
    named = set(OPTION.findall(text)) - NOT_OURS.keys()
    assert named <= set().union(*OPTIONS.values())
    for verb, rest in re.findall(r"kexue (\w+)([^`\n;]*)", text):
        assert set(OPTION.findall(rest)) <= OPTIONS.get(verb, set()) | NOT_OURS.keys()


def test_a_file_of_no_format_is_told_the_option_of_each_command_that_reads_one(tmp_path: Path):
    (tmp_path / "prose.txt").write_text("Marie Curie left Warsaw.\n")
    with pytest.raises(DataError) as error:
        detect(tmp_path / "prose.txt")
    usual, own = re.search(r"name one with (--\w+) \(`kexue convert` has (--\w+)\)", str(error.value)).groups()
    assert own in OPTIONS["convert"]
    assert all(usual in OPTIONS[verb] for verb in ("train", "evaluate", "export", "doctor", "suggest"))
