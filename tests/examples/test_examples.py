"""Every example runs in its quick form, is short, and says what it shows."""

from __future__ import annotations

import ast
import json
import runpy
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "examples"
SCRIPTS = sorted(FOLDER.glob("*.py"))
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
SHOWS = {
    "argmax_head": "Uniform: sparse: right",
    "entities": "drug: F1",
    "events": "",
    "exchange_with_diffusers": "their network here: (2, 1, 8, 8)",
    "pretrain_gau": "most likely:",
    "rdrop": "all shifted by 3: sigmoid 2.5888, softmax 0.0000",
    "relations": "confidence 0.9: P",
    "samplers": "Adams: Frechet distance",
    "there_and_back": "bits per value: likelihood",
}


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_is_short_and_opens_with_what_it_shows_and_how_to_run_it(script: Path):
    text = script.read_text("utf-8")
    assert len(text.splitlines()) <= 60
    docstring = ast.get_docstring(ast.parse(text)) or ""
    assert f"python examples/{script.name} [--quick]" in docstring
    assert f"`{script.name}`" in (FOLDER / "README.md").read_text("utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
@pytest.mark.usefixtures("smaller_networks")
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")  # of tensorboard and diffusers
def test_a_script_runs(
    script: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    if script.stem == "exchange_with_diffusers":
        pytest.importorskip("diffusers", reason="the extra images is not installed")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [str(script), "--quick"])
    runpy.run_path(str(script), run_name="__main__")
    assert SHOWS[script.stem] in capsys.readouterr().out


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_holds_no_outputs(notebook: Path):
    cells = json.loads(notebook.read_text("utf-8"))["cells"]
    assert not [cell for cell in cells if cell.get("outputs") or cell.get("execution_count")]


@pytest.mark.slow
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(notebook: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    nbclient = pytest.importorskip("nbclient", reason="the extra test is not installed")
    nbformat = pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel", reason="the extra test is not installed")
    monkeypatch.setenv("KEXUE_QUICK", "1")
    monkeypatch.setenv("MPLBACKEND", "agg")
    content = nbformat.read(notebook, as_version=4)
    nbclient.NotebookClient(content, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert all(cell.execution_count for cell in content.cells if cell.cell_type == "code")
