"""`scripts/walk` takes the pages in the order of the menu, knows their marks, and says what failed."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import json
import socket
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.site.pages import PAGES, ROOT, blocks, in_order


@pytest.fixture
def walk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script, for pages in a folder of the test's; clone and environment need not be made."""
    loader = importlib.machinery.SourceFileLoader("walk", str(ROOT / "scripts" / "walk"))
    spec = importlib.util.spec_from_loader("walk", loader)
    assert spec
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "walk", module)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setattr(sys, "path", [*sys.path])
    loader.exec_module(module)
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "FIRST", ())
    monkeypatch.setattr(module, "LAST", ("a.md", "b.md"))
    monkeypatch.setattr(module, "in_order", list)
    (tmp_path / "walked" / "kexue").mkdir(parents=True)
    (tmp_path / "walked" / "env" / "bin").mkdir(parents=True)
    (tmp_path / "walked" / "env" / "bin" / "python").symlink_to(sys.executable)
    (tmp_path / "b.md").write_text("", "utf-8")
    return module


def outcomes(folder: Path) -> list[tuple[str, str]]:
    lines = (folder / "walked" / "log.jsonl").read_text("utf-8").splitlines()
    return [(entry["key"], entry["outcome"]) for entry in map(json.loads, lines)]


def start(walk: ModuleType, folder: Path, monkeypatch: pytest.MonkeyPatch, *more: str) -> int:
    monkeypatch.setattr(sys, "argv", ["walk", str(folder / "walked"), *more])
    return int(walk.main())


PAGE = """
```bash title="count.sh"
echo one more >> count
```

<!-- before: echo by hand > hand.txt -->
<!-- run -->
```bash
bash count.sh  # a comment
test -s hand.txt
```

<!-- run -->
```python
x = 3
```

<!-- run -->
```python
open("x.txt", "w").write(str(x))
```

<!-- needs: a cluster -->
```
sbatch count.sh
```
"""


def test_pages_are_taken_in_the_order_of_the_menu_each_once():
    pages = [str(page.relative_to(ROOT / "docs")) for page in in_order()]
    assert pages[:2] == ["index.md", "tutorials/extraction.md"]
    assert (
        pages.index("how-to/serve.md") < pages.index("extraction.md") < pages.index("onnx.md") < pages.index("log.md")
    )
    english = [page for page in PAGES if page.is_relative_to(ROOT / "docs") and not page.name.endswith(".zh.md")]
    assert sorted(pages) == sorted(str(page.relative_to(ROOT / "docs")) for page in english)


def test_marks_before_a_block_are_read(tmp_path: Path):
    (tmp_path / "a.md").write_text(PAGE, "utf-8")
    script, shell, *_, cluster = blocks(tmp_path / "a.md")
    assert (script.title, script.run, shell.run, shell.needs) == ("count.sh", False, True, "")
    assert shell.before == ("echo by hand > hand.txt",)
    assert (cluster.run, cluster.needs) == (False, "a cluster")


def test_a_page_is_pasted_once(walk: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "a.md").write_text(PAGE, "utf-8")
    assert [start(walk, tmp_path, monkeypatch) for _ in range(2)] == [0, 0]
    clone = tmp_path / "walked" / "kexue"
    assert (clone / "x.txt").read_text() == "3"
    assert (clone / "count").read_text() == "one more\n"
    assert [outcome for _, outcome in outcomes(tmp_path)] == ["ok", "ok", "ok", "ok", "left out"]


def test_a_command_that_fails_is_tried_again_and_until_it_succeeds_the_exit_code_is_1(
    walk: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "a.md").write_text("<!-- run -->\n```\ntest -e there\ntrue\n```\n", "utf-8")
    assert start(walk, tmp_path, monkeypatch) == 1
    assert "a.md: test -e there (exit code 1)" in capsys.readouterr().out
    (tmp_path / "walked" / "kexue" / "there").touch()
    assert start(walk, tmp_path, monkeypatch) == 0
    assert outcomes(tmp_path) == [
        ("a.md 1 test -e there", "failed"),
        ("a.md 1 true", "ok"),
        ("a.md 1 test -e there", "ok"),
    ]


def test_what_stands_for_a_reader_and_fails_fails_the_block(
    walk: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "a.md").write_text("<!-- before: false -->\n<!-- run -->\n```\ntouch x\n```\n", "utf-8")
    assert start(walk, tmp_path, monkeypatch) == 1
    assert outcomes(tmp_path) == [("a.md 1 touch x", "failed")]
    assert not (tmp_path / "walked" / "kexue" / "x").exists()


def test_python_that_raises_fails(walk: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "a.md").write_text("<!-- run -->\n```python\nraise SystemExit\n```\n", "utf-8")
    assert start(walk, tmp_path, monkeypatch) == 1


@pytest.mark.parametrize(("code", "expected"), [(0, 0), (3, 1)])
def test_a_service_runs_until_its_page_ends_and_has_to_end_well(
    walk: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, expected: int
):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (tmp_path / "walked" / "env" / "bin" / "kexue").write_text(
        f"#!{sys.executable}\nimport signal, socket, sys\n"
        f"signal.signal(signal.SIGTERM, lambda *_: sys.exit({code}))\n"
        f"served = socket.create_server(('127.0.0.1', {port}))\nwhile True: served.accept()\n"
    )
    (tmp_path / "walked" / "env" / "bin" / "kexue").chmod(0o755)
    asked = f"exec 3<>/dev/tcp/127.0.0.1/{port}"
    (tmp_path / "a.md").write_text(f"<!-- run -->\n```\nkexue serve x --port {port}\n{asked}\n```\n", "utf-8")
    assert start(walk, tmp_path, monkeypatch) == expected
    assert not walk.answers(port)
    (tmp_path / "b.md").write_text(f"<!-- run -->\n```\n! {{ {asked}; }}\n```\n", "utf-8")
    assert start(walk, tmp_path, monkeypatch, "--page", "b.md") == 0


def test_what_is_put_behind_a_command_stands_before_its_comment(walk: ModuleType, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(walk, "SMALLER", {"kexue train": "--epochs 1", "kexue train digits": "--epochs 2"})
    assert walk.smaller("kexue train digits --output x   # draws") == "kexue train digits --output x --epochs 2"
    assert walk.smaller("kexue train 'a #b'") == "kexue train 'a #b' --epochs 1"
    assert walk.smaller("kexue info  # who") == "kexue info  # who"


def test_only_the_tutorials_are_longer_than_they_have_to_be(walk: ModuleType, tmp_path: Path):
    for name, lines in (("long", 1000), ("short", 2)):
        (tmp_path / f"{name}.jsonl").write_text("{}\n" * lines, "utf-8")
    walk.shorten(tmp_path)
    assert (tmp_path / "long.jsonl").read_text().count("\n") == walk.LINES
    assert (tmp_path / "short.jsonl").read_text().count("\n") == 2
