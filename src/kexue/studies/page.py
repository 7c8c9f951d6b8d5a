"""A page in Markdown: paragraphs, tables and pictures in the order in which they were added."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean, stdev


@dataclass
class Page:
    """The page of a study; `write` puts it into a folder."""

    blocks: list[str] = field(default_factory=list)

    def heading(self, text: str, level: int = 2) -> None:
        """A heading; level 1 is the title."""
        self.blocks.append(f"{'#' * level} {text}")

    def text(self, paragraph: str) -> None:
        """A paragraph, broken into lines of at most 120 characters."""
        self.blocks.append(textwrap.fill(" ".join(paragraph.split()), 120, break_long_words=False))

    def code(self, text: str) -> None:
        """Something to be typed."""
        self.blocks.append(textwrap.indent(text, "    "))

    def table(self, heading: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """A table; every row has as many cells as the heading."""
        lines = [list(heading), ["---"] * len(heading), *map(list, rows)]
        if any(len(line) != len(heading) for line in lines):
            raise ValueError(f"every row of a table needs {len(heading)} cells")
        self.blocks.append("\n".join("| " + " | ".join(line) + " |" for line in lines))

    def picture(self, file: str, caption: str) -> None:
        """A picture that lies beside the page."""
        self.blocks.append(f"![{caption}]({file})")

    def write(self, path: Path) -> Path:
        """Write the page and return its path."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n\n".join(self.blocks) + "\n", "utf-8")
        return path


def spread(values: Sequence[float], digits: int = 1, scale: float = 1.0) -> str:
    """Mean and standard deviation over seeds, `97.1 ± 0.3`; the mean alone where there is one seed."""
    scaled = [scale * value for value in values]
    centre = f"{mean(scaled):.{digits}f}"
    return centre if len(scaled) < 2 else f"{centre} ± {stdev(scaled):.{digits}f}"
