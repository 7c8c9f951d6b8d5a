"""Tokens back to text: joined by single spaces, except between characters of scripts that write none.

    ["Paris", ",", "France"]   "Paris , France"
    ["鲁迅", "生于", "绍兴"]     "鲁迅生于绍兴"
    ["2", "0", "年"]           "20年"            character by character: nothing was split at spaces

Offsets come from the join itself, so `text[start:end]` is the tokens as the source gives them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from kexue.errors import DataError
from kexue.extraction.document import Span
from kexue.extraction.words import is_unspaced


@dataclass(frozen=True)
class TokenText:
    """A text and the characters (start, end) of each of its tokens, end exclusive."""

    text: str
    offsets: tuple[tuple[int, int], ...]

    def span(self, start: int, end: int, label: str = "") -> Span:
        """The span of tokens `start` to `end` (exclusive); raises `DataError` outside the tokens."""
        if not 0 <= start < end <= len(self.offsets):
            raise DataError(f"tokens {start} to {end} (end exclusive) are not a span of {len(self.offsets)} tokens")
        return Span(self.offsets[start][0], self.offsets[end - 1][1], label)


def join_tokens(tokens: Sequence[str]) -> TokenText:
    """Join tokens and say where each one is; raises `DataError` for an empty list or an empty token."""
    if not tokens or not all(tokens):
        raise DataError("there are no tokens" if not tokens else f"token {tokens.index('')} is empty")
    by_character = all(len(token) == 1 for token in tokens) and any(map(is_unspaced, tokens))
    pieces, offsets = [tokens[0]], [(0, len(tokens[0]))]
    for left, right in pairwise(tokens):
        gap = "" if by_character or (is_unspaced(left[-1]) and is_unspaced(right[0])) else " "
        start = offsets[-1][1] + len(gap)
        pieces += [gap, right]
        offsets.append((start, start + len(right)))
    return TokenText("".join(pieces), tuple(offsets))


def find_tokens(text: str, tokens: Sequence[str]) -> TokenText | None:
    """Where the tokens stand in the text of the source; None unless only white space lies between them."""
    offsets, position = [], 0
    for token in tokens:
        start = text.find(token, position)
        if start < 0 or text[position:start].strip():
            return None
        position = start + len(token)
        offsets.append((start, position))
    return None if text[position:].strip() else TokenText(text, tuple(offsets))
