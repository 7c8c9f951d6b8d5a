"""The index of the studies says what their pages say, and goes with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from kexue import studies
from kexue.studies import StudyOptions, run_study
from kexue.studies.claims import CONDITIONS, FAILS, HOLDS, OPEN, Claim, add_verdicts
from kexue.studies.frame import ask
from kexue.studies.page import Page
from kexue.studies.summary import BEGIN, END, fill_index, filled, read

DOCS = Path(__file__).resolve().parents[2] / "docs" / "studies"
INDEX = f"# All\n\nBy hand.\n\n{BEGIN}\n\nold\n\n{END}\n\nMore by hand.\n"


@pytest.mark.parametrize("name", ["index.md", "index.zh.md"])
def test_the_index_says_what_the_pages_say(name: str):
    text = (DOCS / name).read_text("utf-8")
    assert BEGIN in text and END in text
    assert text == filled(text, DOCS), "kexue.studies.summary.fill_index writes its tables anew"


def test_every_study_of_the_documentation_has_verdicts():
    pages = {path: read(path) for path in DOCS.glob("*.md") if not path.name.startswith("index")}
    assert {path.stem for path in pages} == studies.STUDIES.keys()
    for path, found in pages.items():
        text = path.read_text("utf-8")
        assert len(found.verdicts) == sum(text.count(f"| **{one}** |") for one in (HOLDS, CONDITIONS, FAILS, OPEN)) > 0
        assert f"]({path.name})" in found.link
        assert (found.article == "none") == (path.stem == "pretraining")


def write_page(folder: Path, name: str, article: int | None, *claims: Claim) -> Path:
    page = Page()
    page.heading(f"Title of {name}", 1)
    known = f"Su, [archives/{article}](https://kexue.fm/archives/{article}): x." if article else "Nothing."
    ask(page, "See [archives/1](https://kexue.fm/archives/1)?", known, claims="What the articles claim")
    add_verdicts(page, claims)
    page.heading("To repeat it")
    return page.write(folder / f"{name}.md")


def test_tables_have_the_oldest_article_first_each_claim_once_and_a_count_of_all(tmp_path: Path):
    write_page(tmp_path, "a", 9000, Claim("p(x | y)", HOLDS, "1 | 2"), Claim("It is | fast", FAILS, "x"))
    twice = (Claim("More", verdict, "") for verdict in (OPEN, HOLDS, HOLDS))
    write_page(tmp_path, "b", 8000, *twice)
    write_page(tmp_path, "c", None, Claim("Ours", CONDITIONS, ""))
    (tmp_path / "notes.md").write_text("# Notes\n\nNo verdict.\n", "utf-8")
    (tmp_path / "index.md").write_text(INDEX, "utf-8")
    fill_index(tmp_path)
    text = (tmp_path / "index.md").read_text("utf-8")
    assert text == (
        "# All\n\nBy hand.\n\n<!-- verdicts -->\n\n"
        "| study | article | holds | holds under conditions | does not hold | not decided |\n"
        "| --- | --- | --- | --- | --- | --- |\n"
        "| [Title of b](b.md) | [archives/8000](https://kexue.fm/archives/8000) | 2 | 0 | 0 | 1 |\n"
        "| [Title of a](a.md) | [archives/9000](https://kexue.fm/archives/9000) | 1 | 0 | 1 | 0 |\n"
        "| [Title of c](c.md) | none | 0 | 1 | 0 | 0 |\n"
        "| all |  | 3 | 1 | 1 | 1 |\n\n"
        "## [Title of b](b.md)\n\n| claim | verdict |\n| --- | --- |\n"
        "| More | **holds** (2 of 3), **not decided** (1 of 3) |\n\n"
        "## [Title of a](a.md)\n\n| claim | verdict |\n| --- | --- |\n"
        "| p(x \\| y) | **holds** |\n| It is \\| fast | **does not hold** |\n\n"
        "## [Title of c](c.md)\n\n| claim | verdict |\n| --- | --- |\n| Ours | **holds under conditions** |\n\n"
        "<!-- /verdicts -->\n\nMore by hand.\n"
    )
    fill_index(tmp_path)
    assert (tmp_path / "index.md").read_text("utf-8") == text


def test_an_index_without_a_place_for_the_tables_stays_as_it_is(tmp_path: Path):
    write_page(tmp_path, "a", 9000, Claim("x", HOLDS, ""))
    assert filled("# Mine\n", tmp_path) == "# Mine\n"


def test_a_study_fills_the_index_beside_its_page_and_makes_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    class Module:
        @staticmethod
        def run(options: StudyOptions) -> Path:
            return write_page(options.output, "ddim", 9181, Claim("New", FAILS, ""))

    monkeypatch.setattr(studies, "import_module", lambda name: Module)
    run_study("ddim", StudyOptions(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["ddim.md"]
    for name in ("index.md", "index.zh.md"):
        (tmp_path / name).write_text(INDEX, "utf-8")
    assert run_study("ddim", StudyOptions(tmp_path)).name == "ddim.md"
    for name in ("index.md", "index.zh.md"):
        assert "| New | **does not hold** |" in (tmp_path / name).read_text("utf-8")
