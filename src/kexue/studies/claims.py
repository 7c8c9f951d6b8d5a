"""A claim of an article and what the measurements say about it: it holds, holds under conditions, or does not hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kexue.studies.page import Page

HOLDS, CONDITIONS, FAILS = "holds", "holds under conditions", "does not hold"


@dataclass(frozen=True)
class Claim:
    """What is claimed, one of the three verdicts, and the numbers that it follows from."""

    says: str
    verdict: str
    because: str

    def __post_init__(self) -> None:
        if self.verdict not in (HOLDS, CONDITIONS, FAILS):
            raise ValueError(f"{self.verdict!r} is none of the three verdicts")


def judge(says: str, holds: bool, because: str, *, partly: bool = False) -> Claim:
    """A claim whose verdict is decided by what was measured; `partly` counts where it does not hold as a whole."""
    return Claim(says, HOLDS if holds else CONDITIONS if partly else FAILS, because)


def add_verdicts(page: Page, claims: Sequence[Claim]) -> None:
    """The table of all claims."""
    page.heading("Verdict")
    page.table(
        ["claim", "verdict", "because"],
        [[_cell(claim.says), f"**{claim.verdict}**", _cell(claim.because)] for claim in claims],
    )


def _cell(text: str) -> str:
    """With the sign that would end a cell escaped."""
    return text.replace("|", "\\|")
