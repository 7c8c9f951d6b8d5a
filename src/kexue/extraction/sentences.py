"""Where sentences end: enough to know whether two mentions stand in the same one.

    in scripts with spaces      . ! ? …   closing quotes and brackets   white space   no lower-case letter
    in Chinese and Japanese     。！？…    closing quotes and brackets
    everywhere                  an empty line

A full stop after a single letter ("E. coli") or after a common abbreviation ("Dr.", "vs.") ends nothing. A wrong
boundary costs little where it is used: a model learns how many boundaries its relations cross by the same rule
(`Reach`).
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence

_CLOSING = r"[\"'”’»)\]」』）】》]*+"
_BOUNDARY = re.compile(
    rf"(?P<stop>[.!?…]++){_CLOSING}\s+(?=\S)|[。！？…]++{_CLOSING}\s*(?=\S)|[^\S\n]*\n[^\S\n]*\n\s*(?=\S)"
)
_LAST_WORD = re.compile(r"[^\W\d_]+(?:\.[^\W\d_]+)*$")
_ABBREVIATIONS = re.compile(
    r"(?:al|approx|ca|cf|co|corp|dept|dr|e\.g|eds|eq|etc|fig|figs|gen|gov|i\.e|i\.m|i\.v|inc|jr|lt"
    r"|ltd|mr|mrs|ms|no|nos|p\.o|pp|prof|rep|rev|sen|sr|st|u\.k|u\.s|vol|vs)"
)


def sentence_starts(text: str) -> list[int]:
    """The characters at which the sentences of a text begin, the first of them 0."""
    return [0, *_boundaries(text)]


def sentence_numbers(text: str, places: Sequence[int]) -> list[int]:
    """The number of the sentence in which each of these characters stands, counted from 0."""
    return number_places(sentence_starts(text), places)


def number_places(starts: Sequence[int], places: Sequence[int]) -> list[int]:
    """The same, where it is known at which characters the sentences begin."""
    return [bisect_right(starts, place) - 1 for place in places]


def part_starts(starts: Sequence[int], size: int) -> list[int]:
    """Of the starts of sentences those at which parts of at most `size` sentences begin, all of about as many."""
    count = -(-len(starts) // size)
    return [starts[index * len(starts) // count] for index in range(count)]


def _boundaries(text: str) -> Iterator[int]:
    for match in _BOUNDARY.finditer(text):
        if match["stop"] is None or not _goes_on(text, match):
            yield match.end()


def _goes_on(text: str, match: re.Match[str]) -> bool:
    """Whether the sentence goes on after this full stop."""
    if text[match.end()].islower():
        return True
    before = text[max(0, match.start() - 20) : match.start()].rstrip(" ")  # tokenised text puts a space before the stop
    word = _LAST_WORD.search(before)
    if match["stop"] != "." or word is None:
        return False
    return len(word[0]) == 1 or _ABBREVIATIONS.fullmatch(word[0].lower()) is not None
