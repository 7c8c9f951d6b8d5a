"""Pictures of a study, each beside its page and named after it; none where matplotlib is missing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from kexue.studies.page import Page

DPI = 80


@dataclass(frozen=True)
class Pictures:
    """Draws into a folder and shows on a page."""

    folder: Path
    study: str

    @property
    def possible(self) -> bool:
        """Whether there is matplotlib."""
        return find_spec("matplotlib") is not None

    def draw(
        self, page: Page, name: str, caption: str, plot: Callable[[Any], None], size: tuple[float, float] = (6.4, 4.0)
    ) -> None:
        """One picture: `plot` is given a matplotlib Figure."""
        if not self.possible:
            return
        from matplotlib.figure import Figure

        figure = Figure(figsize=size, layout="constrained")
        plot(figure)
        file = f"{self.study}-{name}.png"
        figure.savefig(self.folder / file, dpi=DPI)
        page.picture(file, caption)
