"""What all studies say: the claims and verdicts of the pages in a folder, within its index pages.

The tables stand between two comments; whatever else an index says is written by hand.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from kexue.studies.claims import CONDITIONS, FAILS, HOLDS, OPEN
from kexue.studies.page import Page

BEGIN, END = "<!-- verdicts -->", "<!-- /verdicts -->"
VERDICTS = (HOLDS, CONDITIONS, FAILS, OPEN)
TABLE = re.compile(r"^\| claim \| verdict \| because \|\n\|[ |-]+\|\n((?:\|.*\n)*)", re.MULTILINE)
ARTICLE = re.compile(r"^## What the articles? claims?\n.*?(\[archives/(\d+)\]\(\S+?\))", re.MULTILINE | re.DOTALL)
CELL = re.compile(r"(?<!\\)\|")


@dataclass(frozen=True)
class Summary:
    """What the page of a study says: its article, as a link and as a number, and its claims with their verdicts.

    The number is infinite where no article claims anything.
    """

    link: str
    article: str
    number: float
    verdicts: Sequence[tuple[str, str]]

    def counts(self) -> list[str]:
        """How many verdicts of each kind there are."""
        found = Counter(verdict for _, verdict in self.verdicts)
        return [str(found[verdict]) for verdict in VERDICTS]

    def claims(self) -> Iterator[list[str]]:
        """Each claim once, with all its verdicts, of which there is one for every set that it was measured on."""
        for claim in dict.fromkeys(says for says, _ in self.verdicts):
            found = [verdict for says, verdict in self.verdicts if says == claim]
            shares = {verdict: f" ({found.count(verdict)} of {len(found)})" * (len(found) > 1) for verdict in VERDICTS}
            yield [claim, ", ".join(f"**{verdict}**{shares[verdict]}" for verdict in VERDICTS if verdict in found)]


def fill_index(folder: Path) -> None:
    """Write the tables of every index page of a folder anew; a folder without one stays as it is."""
    for index in folder.glob("index*.md"):
        index.write_text(filled(index.read_text("utf-8"), folder), "utf-8")


def filled(text: str, folder: Path) -> str:
    """The text of an index page with the verdicts that the pages of the folder have now."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        return text
    pages = (path for path in sorted(folder.glob("*.md")) if not path.name.startswith("index"))
    summaries = sorted((found for path in pages if (found := read(path)).verdicts), key=lambda found: found.number)
    return "\n\n".join([before + begin, *_tables(summaries).blocks, end + after])


def read(path: Path) -> Summary:
    """What one page says."""
    text = path.read_text("utf-8")
    title = text.partition("\n")[0].removeprefix("# ")
    article, table = ARTICLE.search(text), TABLE.search(text)
    rows = [CELL.split(line)[1:3] for line in table[1].splitlines()] if table else []
    return Summary(
        f"[{title}]({path.name})",
        article[1] if article else "none",
        int(article[2]) if article else math.inf,
        [(claim.strip(), verdict.strip(" *")) for claim, verdict in rows],
    )


def _tables(summaries: Sequence[Summary]) -> Page:
    """How many verdicts of each kind there are, then the claims of every page, the oldest article first."""
    page = Page()
    total = [str(sum(map(int, column))) for column in zip(*(found.counts() for found in summaries), strict=True)]
    page.table(
        ["study", "article", *VERDICTS],
        [*([found.link, found.article, *found.counts()] for found in summaries), ["all", "", *total]],
    )
    for found in summaries:
        page.heading(found.link)
        page.table(["claim", "verdict"], found.claims())
    return page
