"""The pages of the site as tests read them: their code blocks, and the commands in these."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*(ROOT / "docs").rglob("*.md"), ROOT / "README.md", ROOT / "README.zh.md", ROOT / "CONTRIBUTING.md"])
SHELL = ("", "bash", "sh", "console")
FENCE = re.compile(
    r"^(?P<marks>(?:<!-- [^\n]* -->\n)*)```(?P<language>\w*)(?P<rest>[^\n]*)\n(?P<text>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)
MARK = re.compile(r"<!-- (run|needs|before)(?:: (.*?))? -->")
INDENTED = re.compile(r"(?:^|\n)\n((?:    [^\n]*\n|\n)+)")


@dataclass(frozen=True)
class Block:
    """A fenced block, its title, and what the comments in the lines before it say.

    `run` where it can be pasted as it stands, after the pages before it and in the same folder; `needs` is why it
    cannot be on one machine; `before` are commands that stand for what a reader does by hand.
    """

    page: Path
    language: str
    text: str
    title: str = ""
    run: bool = False
    needs: str = ""
    before: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.page.relative_to(ROOT)}: {self.text.strip().splitlines()[0] if self.text.strip() else ''}"


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order."""
    return [_block(page, found) for found in FENCE.finditer(page.read_text("utf-8"))]


def _block(page: Path, found: re.Match[str]) -> Block:
    marks = MARK.findall(found["marks"])
    title = re.search(r'title="(.*?)"', found["rest"])
    return Block(
        page,
        found["language"],
        found["text"],
        title=title[1] if title else "",
        run=("run", "") in marks,
        needs="".join(said for mark, said in marks if mark == "needs"),
        before=tuple(said for mark, said in marks if mark == "before"),
    )


def in_order(docs: Path = ROOT / "docs") -> list[Path]:
    """The English pages in the order of the site's menu; a pattern takes those that the menu does not name."""
    names = re.findall(r"[\w/*-]+\.md", (docs / ".nav.yml").read_text("utf-8"))
    found = [sorted(path for path in docs.glob(name) if path.suffixes == [".md"]) for name in names]
    return [page for name, some in zip(names, found, strict=True) for page in some
            if "*" not in name or str(page.relative_to(docs)) not in names]  # fmt: skip


def shell_lines(text: str) -> Iterator[str]:
    """The command lines of a shell block: prompts and comments gone, continued lines joined."""
    for line in text.replace("\\\n", " ").splitlines():
        bare = line.removeprefix("$ ").strip()
        if bare and not bare.startswith("#"):
            yield bare


def words(line: str) -> list[str]:
    """A line as a shell would split it, comments left out."""
    return shlex.split(line, comments=True)


def commands(line: str) -> Iterator[list[str]]:
    """Each call of kexue in a line, as [verb, argument, ...]: after a pipe, under torchrun, as a module."""
    for part in re.split(r"\s(?:\||&&|;)\s", line):
        found = words(part)
        if not found:
            continue
        if found[0] in ("kexue", ".venv/bin/kexue"):
            yield found[1:]
        elif "kexue" in found[1:] and found[found.index("kexue") - 1] == "-m":
            yield found[found.index("kexue") + 1 :]


def inline_commands(page: Path) -> Iterator[list[str]]:
    """Calls in the running text: `kexue evaluate --output x`; shown in part, so arguments may be missing."""
    prose = FENCE.sub("", page.read_text("utf-8"))
    for code in re.findall(r"`kexue ([a-z][^`]*)`", prose):
        yield words(code.replace("\n", " "))


def benchmark_calls(line: str) -> Iterator[tuple[str, list[str]]]:
    """(benchmark, arguments) of each `python -m kexue.benchmarks NAME` or `kexue.benchmarks.NAME` in a line."""
    for name, rest in re.findall(r"-m kexue\.benchmarks(?:\.| )(\w+)([^`\n|;]*)", line):
        yield name, words(rest.replace("...", ""))
