"""What do a file's offsets count? Python counts characters (code points); annotation tools often do not.

A browser counts UTF-16 code units, in which an emoji is two; an editor may have turned LF into CRLF after the
text was annotated. Both move every offset behind. A `Counting` translates: `places[k]` is the character at
which the file's offset k stands, or -1 where k falls inside a character. Where a file writes the surface
beside the offsets, `choose` takes the counting under which most surfaces agree.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

Counting = Callable[[str], Sequence[int]]


@dataclass(frozen=True, slots=True)
class Mark:
    """Offsets as a file gives them, end exclusive, and the surface it writes beside them, if any."""

    start: int
    end: int
    surface: str | None = None


def code_points(text: str) -> Sequence[int]:
    """Offsets count characters, as Python does."""
    return range(len(text) + 1)


def utf16_units(text: str) -> Sequence[int]:
    """Offsets count UTF-16 code units, as JavaScript does: two for a character beyond U+FFFF."""
    places = []
    for place, character in enumerate(text):
        places += [place, -1] if character > "\uffff" else [place]
    return [*places, len(text)]


def single_line_ends(text: str) -> Sequence[int]:
    """Offsets count CR LF as one character: the text had LF when it was annotated."""
    return [place for place in range(len(text) + 1) if not text.startswith("\r\n", place - 1) or place == 0]


def to_utf16(text: str) -> Sequence[int]:
    """The other direction: the number of UTF-16 code units before each character, and before the end."""
    if text.isascii() or max(text) <= "\uffff":
        return range(len(text) + 1)
    return [unit for unit, place in enumerate(utf16_units(text)) if place >= 0]


def choose(text: str, marks: Sequence[Mark], countings: Sequence[Counting]) -> Sequence[int]:
    """Places under the counting with which most marks agree; the first of `countings` where several do."""
    if "\r\n" not in text and (text.isascii() or max(text, default="") <= "\uffff"):
        return code_points(text)  # all countings are the same
    candidates = [counting(text) for counting in countings]
    return max(candidates, key=lambda places: sum(agrees(text, places, mark) for mark in marks))


def locate(places: Sequence[int], mark: Mark) -> tuple[int, int] | None:
    """The mark's characters (start, end), or None if it is empty, outside the text or cuts a character."""
    if not 0 <= mark.start < mark.end < len(places):
        return None
    start, end = places[mark.start], places[mark.end]
    return None if start < 0 or end < 0 else (start, end)


def agrees(text: str, places: Sequence[int], mark: Mark) -> bool:
    """Whether the mark lies in the text and its characters are the surface that the file writes."""
    located = locate(places, mark)
    return located is not None and (mark.surface is None or same_surface(text[located[0] : located[1]], mark.surface))


def same_surface(first: str, second: str) -> bool:
    """Equal but for whitespace: tools write a line break inside a span as a space, two, or not at all."""
    return first == second or "".join(first.split()) == "".join(second.split())
