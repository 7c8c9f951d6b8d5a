"""What the writer of pages promises: well-formed tables, a spread only where there is one."""

from __future__ import annotations

from pathlib import Path

import pytest

from kexue.studies.page import Page, spread


def test_a_page_holds_its_blocks_in_order(tmp_path: Path):
    page = Page()
    page.heading("Title", 1)
    page.text("one   two\n  three")
    page.table(["a", "b"], [["1", "2"]])
    page.code("kexue study x")
    page.picture("x.png", "what it shows")
    written = page.write(tmp_path / "new" / "x.md").read_text("utf-8")
    assert written == (
        "# Title\n\none two three\n\n| a | b |\n| --- | --- |\n| 1 | 2 |\n\n"
        "    kexue study x\n\n![what it shows](x.png)\n"
    )


def test_a_row_that_is_too_short_is_a_bug_that_shows():
    with pytest.raises(ValueError, match="2 cells"):
        Page().table(["a", "b"], [["1"]])


def test_lines_are_broken_before_column_120():
    page = Page()
    page.text("word " * 100)
    assert max(map(len, page.blocks[0].splitlines())) <= 120


@pytest.mark.parametrize(
    ("values", "shown"), [([0.5], "50.0"), ([0.5, 0.6, 0.7], "60.0 ± 10.0"), ([0.97, 0.97], "97.0 ± 0.0")]
)
def test_the_spread_over_seeds_is_the_standard_deviation(values: list[float], shown: str):
    assert spread(values, scale=100) == shown
