"""A claim of an article and what the measurements say: it holds, holds under conditions, does not hold, or is open."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kexue.studies.page import Page

HOLDS, CONDITIONS, FAILS, OPEN = "holds", "holds under conditions", "does not hold", "not decided"


@dataclass(frozen=True)
class Claim:
    """What is claimed, one of the four verdicts, and the numbers that it follows from."""

    says: str
    verdict: str
    because: str

    def __post_init__(self) -> None:
        if self.verdict not in (HOLDS, CONDITIONS, FAILS, OPEN):
            raise ValueError(f"{self.verdict!r} is none of the four verdicts")


def judge(says: str, holds: bool, because: str, *, partly: bool = False, decides: bool = True) -> Claim:
    """A claim whose verdict is decided by what was measured; `partly` counts where it does not hold as a whole.

    Where what was measured `decides` nothing, the claim stays open.
    """
    if not decides:
        return Claim(says, OPEN, because)
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
