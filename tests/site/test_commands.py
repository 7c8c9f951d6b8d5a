"""Every command and every line of Python that the pages show exists with its options, names and keys."""

from __future__ import annotations

import ast
import importlib
import itertools
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer.main

from kexue.benchmarks.__main__ import summaries
from kexue.cli.main import app
from kexue.diffusion.samplers import SAMPLERS
from kexue.training.extraction.recipe import ExtractionRecipe
from kexue.training.generation.recipe import GenerationRecipe
from kexue.training.pretraining.recipe import PretrainingRecipe
from tests.site.pages import PAGES, ROOT, SHELL, Block, benchmark_calls, blocks, commands, inline_commands, shell_lines

VERBS: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]
PYTHON = [block for page in PAGES for block in blocks(page) if block.language == "python"]


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def calls(page: Path) -> Iterator[list[str]]:
    for block in blocks(page):
        if block.language in SHELL:
            for line in shell_lines(block.text):
                yield from commands(line)


PAGES_WITH_CALLS = [page for page in PAGES if any(True for _ in calls(page))]


@cache
def options_of(verb: str) -> dict[str, Any]:
    """The parameters of a verb, and of the verbs below it, by each of their spellings."""
    commands = (VERBS[verb], *getattr(VERBS[verb], "commands", {}).values())
    parameters = [parameter for command in commands for parameter in command.params]
    return {spelling: each for each in parameters for spelling in (*each.opts, *each.secondary_opts)}


def check_keys(verb: str, arguments: list[str]) -> list[str]:
    """Keys after --set that no recipe and no sampler has."""
    pairs = [value for option, value in itertools.pairwise(arguments) if option == "--set"]
    if verb in ("generate", "evaluate"):
        given = dict(itertools.pairwise(arguments)).get("--sampler", "ddim")
        known = set(SAMPLERS[given].__dataclass_fields__)
    else:
        recipes = (PretrainingRecipe,) if verb == "pretrain" else (ExtractionRecipe, GenerationRecipe)
        known = {key for recipe in recipes for key in recipe.model_fields}
    return [pair for pair in pairs if pair.partition("=")[0] not in known]


@pytest.mark.parametrize("page", PAGES_WITH_CALLS, ids=name)
def test_a_command_of_a_page_is_one_that_kexue_would_take(page: Path):
    for verb, *arguments in calls(page):
        if verb.startswith("--"):
            continue
        assert verb in VERBS, f"kexue {verb}"
        if "--help" in arguments or "..." in arguments or "OPTIONS" in arguments:
            continue
        VERBS[verb].make_context(verb, list(arguments))  # raises for an option, a value or an argument that is wrong
        assert not check_keys(verb, arguments), f"kexue {verb} {arguments}"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_a_command_in_the_text_names_a_verb_and_options_of_it(page: Path):
    for verb, *arguments in inline_commands(page):
        assert verb in VERBS, f"kexue {verb}"
        given = [argument.partition("=")[0] for argument in arguments if re.match(r"--[a-z]", argument)]
        unknown = [option for option in given if option not in {"--help", *options_of(verb)}]
        assert not unknown, f"kexue {verb} {unknown}"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_an_option_named_alone_belongs_to_some_command(page: Path):
    known = {spelling for verb in VERBS for spelling in options_of(verb)} | {"--help", "--version"}
    known |= {"--nnodes", "--rdzv_endpoint", "--nproc_per_node"}  # of torchrun
    known |= {option for benchmark in summaries() for option in benchmark_options(benchmark)}
    for script in ("mutate", "walk"):
        known |= set(re.findall(r'add_argument\("(--\w+)"', (ROOT / "scripts" / script).read_text("utf-8")))
    shown = re.findall(r"`(--[a-z][a-z_-]+)[^`]*`", page.read_text("utf-8"))
    assert not [option for option in shown if option not in known]


@cache
def benchmark_options(benchmark: str) -> frozenset[str]:
    """Options in the source of a benchmark, and those that all share."""
    folder = ROOT / "src" / "kexue" / "benchmarks"
    sources = [folder / f"{benchmark}.py", folder / "real.py", folder / "measuring" / "options.py"]
    text = "".join(path.read_text("utf-8") for path in sources)
    return frozenset(re.findall(r'"(--[a-z-]+)"', text))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_a_benchmark_that_is_named_exists_with_its_options(page: Path):
    text = page.read_text("utf-8").replace("\\\n", " ")
    for benchmark, arguments in benchmark_calls(re.sub(r"(`[^`\n]*)\n([^`\n]*`)", r"\1 \2", text)):
        if benchmark in ("NAME", "X"):
            continue
        assert benchmark in summaries()
        unknown = [word for word in arguments if word.startswith("--") and word not in benchmark_options(benchmark)]
        assert not unknown, f"{benchmark} {unknown}"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_make_and_the_scripts_are_there(page: Path):
    text, makefile = page.read_text("utf-8"), (ROOT / "Makefile").read_text("utf-8")
    verbs = set(re.findall(r"(?:`|^)make ([a-z]+)", text, re.MULTILINE))
    targets = " ".join(re.findall(r"^([a-z ]+):", makefile, re.MULTILINE))
    assert verbs <= set(targets.split())
    for path in re.findall(r"(?:`|^|python )((?:scripts|examples|recipes)/[\w./-]*\w)", text, re.MULTILINE):
        assert (ROOT / path).exists(), path


def imported(tree: ast.AST) -> Iterator[tuple[str, list[str]]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, []) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield str(node.module), [alias.name for alias in node.names]


@pytest.mark.parametrize("block", PYTHON, ids=lambda block: block.name)
def test_python_of_a_page_compiles_and_imports_names_that_exist(block: Block):
    for module, names in imported(ast.parse(block.text)):
        if module.split(".")[0] != "kexue":
            continue
        found = importlib.import_module(module)
        for wanted in names:
            if not hasattr(found, wanted):
                importlib.import_module(f"{module}.{wanted}")
