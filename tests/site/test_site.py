"""The site is built without a warning, in both languages, and needs nothing from elsewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.site.pages import ROOT, SHELL, blocks, commands, shell_lines

DOCS = ROOT / "docs"
EQUATION = re.compile(r"\$\$.*?\$\$", re.DOTALL)
CARDS = sorted(path for path in (DOCS / "cards").glob("*.md") if not path.name.startswith("index"))
PARTS = {
    "en": ("Idea", "Equation", "Use", "Defaults, and why", "Limits", "Source"),
    "zh": ("想法", "公式", "用法", "默认值及理由", "局限", "出处"),
}
IN_ENGLISH_ONLY = {"benchmarks.md", "decisions.md", "licences.md", "log.md", "mutation.md", "results.md"}
IN_CHINESE = sorted(
    str(path.relative_to(DOCS))
    for pattern in ("*.md", "tutorials/*.md", "how-to/*.md", "cards/*.md", "reference/index.md")
    for path in DOCS.glob(pattern)
    if ".zh." not in path.name and path.name not in IN_ENGLISH_ONLY
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    for package in ("mkdocs", "material", "mkdocs_static_i18n", "mkdocstrings", "latex2mathml"):
        pytest.importorskip(package, reason="the extra `docs` is not installed")
    folder = tmp_path_factory.mktemp("site")
    script = (ROOT / "scripts" / "site").read_text("utf-8")
    settings = dict(re.findall(r"(\w+)=(\w+)", script.splitlines()[-1]))
    run = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=os.environ | settings,
    )
    assert run.returncode == 0, run.stderr
    return folder


class Loaded(HTMLParser):
    """What a browser fetches with a page."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag in ("script", "img", "iframe", "source"):
            self.addresses.append(found.get("src") or "")
        if tag == "link" and found.get("rel") in ("stylesheet", "preconnect", "icon", "preload"):
            self.addresses.append(found.get("href") or "")


@pytest.mark.slow
def test_no_page_fetches_anything_from_elsewhere(site: Path):
    for page in site.rglob("*.html"):
        loaded = Loaded()
        loaded.feed(page.read_text("utf-8"))
        assert not [address for address in loaded.addresses if re.match(r"(?:https?:)?//", address)], page
    for sheet in site.rglob("*.css"):
        assert not re.search(r"url\(\s*['\"]?(?:https?:)?//", sheet.read_text("utf-8")), sheet


def test_every_page_is_in_the_menu(site: Path):
    menu = (site / "index.html").read_text("utf-8")
    pages = [path.relative_to(DOCS).with_suffix(".html") for path in DOCS.rglob("*.md") if ".zh." not in path.name]
    assert not [str(page) for page in pages if f'href="{page}"' not in menu and str(page) != "index.html"]


@pytest.mark.parametrize("page", IN_CHINESE)
def test_a_page_is_there_in_chinese(page: str, site: Path):
    english, chinese = ((site / folder / page).with_suffix(".html").read_text("utf-8") for folder in ("", "zh"))
    article = re.search(r"<article.*?</article>", chinese, re.DOTALL)
    assert article
    text = re.sub(r"<(pre|code|math).*?</\1>|<[^>]+>", "", article[0], flags=re.DOTALL)
    assert len(re.findall(r"[\u4e00-\u9fff]", text)) > 0.25 * len(re.sub(r"\s", "", text))
    prose = re.sub(r"<pre.*?</pre>", "", article[0], flags=re.DOTALL)
    broken = re.search(r".*[\u4e00-\u9fff，。；：]\n *[\u4e00-\u9fff].*", prose)
    assert not broken, f"a line break in a paragraph or a list shows as a space: {broken[0]}"
    assert '<html lang="zh"' in chinese
    assert '<html lang="en"' in english


@pytest.mark.parametrize("card", CARDS, ids=lambda path: path.name)
def test_a_card_has_all_its_parts_in_order(card: Path):
    language = "zh" if card.name.endswith(".zh.md") else "en"
    text = card.read_text("utf-8")
    found = re.findall(r"^\*\*([^*]+?)\.?\*\*", text, re.MULTILINE)
    assert tuple(found) == PARTS[language]
    assert "kexue.fm/archives/" in text.split(PARTS[language][-1])[1]
    assert "$$" in text


def test_equations_are_drawn_by_the_browser_itself(site: Path):
    for card in CARDS:
        folder, stem = ("zh", card.name.removesuffix(".zh.md")) if ".zh." in card.name else ("", card.stem)
        page = (site / folder / "cards" / f"{stem}.html").read_text("utf-8")
        assert page.count("<math") >= card.read_text("utf-8").count("$$") // 2
        assert "arithmatex" not in page
        assert r"\frac" not in page


def all_calls(page: Path) -> list[list[str]]:
    """Every call of kexue in the blocks of a page."""
    shell = [block for block in blocks(page) if block.language in SHELL]
    return [call for block in shell for line in shell_lines(block.text) for call in commands(line)]


def test_both_languages_of_a_page_have_the_same_commands_and_equations():
    for chinese in DOCS.rglob("*.zh.md"):
        english = chinese.with_name(chinese.name.replace(".zh.md", ".md"))
        english_text = english.read_text("utf-8")
        chinese_text = chinese.read_text("utf-8")
        assert re.findall(EQUATION, english_text) == re.findall(EQUATION, chinese_text), chinese
        assert all_calls(english) == all_calls(chinese), chinese


def test_pictures_are_small():
    pictures = [path for path in (DOCS / "images").iterdir() if path.is_file()]
    assert len(pictures) >= 2
    assert all(path.stat().st_size < 200_000 for path in pictures)
