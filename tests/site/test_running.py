"""What a page says can be run is run as it stands, in order, on a part of the data and in little time."""

from __future__ import annotations

import ast
import os
import subprocess
from pathlib import Path

import pytest

from tests.commands import Command
from tests.site.pages import PAGES, ROOT, SHELL, Block, blocks, shell_lines, words

ENGLISH = [page for page in PAGES if not page.name.endswith(".zh.md")]
TUTORIALS = [page for page in ENGLISH if page.parent.name == "tutorials"]
ALONE = [ROOT / "docs" / name for name in ("distributions.md", "gau.md", "how-to/bring-a-model.md", "how-to/port.md")]
"""Pages whose Python needs no model; `scripts/walk` runs all pages, in order and in a fresh environment."""
ELSEWHERE = ("pip install", "kexue serve")
LINES = 48
"""Of a file of documents, which is cut after each block: tutorials train on thousands of sentences."""
SMALLER = {
    ("train", "digits"): ["--epochs", "0.2"],
    ("train", "train.jsonl"): ["--epochs", "1", "--encoder", "gau-tiny"],
    ("evaluate", "runs/digits"): ["--num", "20", "--steps", "4", "--likelihood", "0"],
}
"""What is put behind a command; of an option given twice the last counts."""


def page_name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def run_shell(line: str, call: Command) -> None:
    if line.startswith(ELSEWHERE):
        return
    arguments = words(line)
    if arguments[0] != "kexue":
        subprocess.run(["bash", "-c", line], check=True, env=os.environ | {"LC_ALL": "C"})
        return
    verb, first = arguments[1], arguments[2]
    outcome = call(*arguments[1:], *SMALLER.get((verb, first), []))
    assert outcome.code == 0, f"{line}\n{outcome.err}"


def shorten(folder: Path) -> None:
    for path in folder.glob("*.jsonl"):
        path.write_text("".join(path.read_text("utf-8").splitlines(keepends=True)[:LINES]), "utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("page", TUTORIALS, ids=page_name)
@pytest.mark.usefixtures("smaller_networks")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of tensorboard
def test_a_tutorial_runs_from_top_to_bottom(
    page: Path,
    kexue: Command,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for block in blocks(page):
        if not block.run:
            continue
        if block.language == "python":
            exec(compile(block.text, block.name, "exec", dont_inherit=True), names)
        else:
            for line in shell_lines(block.text):
                run_shell(line, kexue)
        shorten(tmp_path)
    files = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert files & {"facts.csv", "threes.png"}


@pytest.mark.parametrize("page", ALONE, ids=page_name)
def test_python_that_needs_no_model_runs_from_top_to_bottom(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for block in blocks(page):
        if block.run and block.language == "python":
            exec(compile(block.text, block.name, "exec", dont_inherit=True), names)


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_a_block_can_be_pasted_or_says_what_it_needs(page: Path):
    shown = [block for block in blocks(page) if block.language == "python" or block.language in SHELL]
    unmarked = [block.name for block in shown if not block.title and block.run == bool(block.needs)]
    assert not unmarked


def meaning(block: Block) -> object:
    """Of a block, without comments and without the texts that may be translated."""
    if block.language != "python":
        return [words(line) for line in shell_lines(block.text)]
    tree = ast.parse(block.text)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and translatable(node.value):
            node.value = ""
    return ast.dump(tree)


def translatable(text: str) -> bool:
    """Whether it is prose, and no name or option."""
    return " " in text or not text.isascii()


def shown(page: Path) -> list[object]:
    """Code and marks of the blocks that are pasted, left out or written to a file; a file's text may be translated."""
    return [
        (block.title or meaning(block), block.run, block.needs, block.before)
        for block in blocks(page)
        if block.run or block.needs or block.title
    ]


@pytest.mark.parametrize("page", [page for page in ENGLISH if page.with_suffix(".zh.md").exists()], ids=page_name)
def test_the_chinese_page_shows_the_same_code_with_the_same_marks(page: Path):
    assert shown(page) == shown(page.with_suffix(".zh.md"))
