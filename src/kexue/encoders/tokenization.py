"""Text to tokens and back: every token knows the characters it stands for.

Offsets count characters (Python `str` indices), end exclusive. They never begin or end with white space,
and a combining mark that the tokenizer drops stays with its letter. Several tokens may stand for one
character (the bytes of an emoji): each of them has the character's offsets. A token that stands for white
space alone is empty, `start == end`.
"""

from __future__ import annotations

import copy
import re
import sys
import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate, chain, pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerBase

from kexue.errors import OptionError

LONE_SURROGATES = re.compile("[\ud800-\udfff]")
NO_LIMIT = 10**9
"""A tokenizer that knows no limit says `model_max_length = 1e30`."""
BLOCK = 1024
"""Texts tokenised at once: enough for all cores, few enough that their offsets stay in the cache."""
PROBES = ("a", "1", "的")
"""Texts of which a usable tokenizer must know at least one."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """The tokens of one text, without special tokens.

    `ids[i]` stands for the characters `starts[i]` to `ends[i]` (exclusive). Both ends grow monotonically.
    """

    ids: list[int]
    starts: list[int]
    ends: list[int]

    def __len__(self) -> int:
        return len(self.ids)


class TokenSpan(NamedTuple):
    """Tokens `first` to `last` (inclusive); `exact` if they stand for just the characters asked for."""

    first: int
    last: int
    exact: bool


def token_span(tokens: Tokens, start: int, end: int) -> TokenSpan | None:
    """The smallest span of tokens that covers the characters `start` to `end` (exclusive).

    None where no token stands for any of them, as for white space. White space at the ends of the asked span
    makes it inexact.
    """
    first = bisect_right(tokens.ends, start)
    last = bisect_left(tokens.starts, end) - 1
    while first <= last and tokens.starts[last] == tokens.ends[last]:
        last -= 1
    while first <= last and tokens.starts[first] == tokens.ends[first]:
        first += 1
    if first > last or start >= end:
        return None
    return TokenSpan(first, last, tokens.starts[first] == start and tokens.ends[last] == end)


class TextTokenizer:
    """A fast tokenizer that gives whole texts as `Tokens`: no truncation, no padding, no special tokens.

    The names of special tokens inside a text ("[SEP]") are read as the ordinary text they are, unless a
    Unigram vocabulary holds them as pieces too. The wrapped tokenizer is left as it was.

    Attributes:
        tokenizer: the wrapped tokenizer, to be saved with a model.
        prefix, suffix: ids of the special tokens that the model expects around every window.
        pad_id: id that fills up a batch.
        max_window: the most tokens of text that fit into one window; None where the model has no limit.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        """Raise `OptionError` for a tokenizer that cannot give offsets (a slow one)."""
        if not getattr(tokenizer, "is_fast", False):
            raise OptionError(
                f"the tokenizer {type(tokenizer).__name__} is not a fast one and gives no character offsets; "
                "take an encoder whose folder holds a tokenizer.json"
            )
        self.tokenizer = tokenizer
        self._backend = copy.deepcopy(tokenizer.backend_tokenizer)
        self._backend.no_truncation()
        self._backend.no_padding()
        self._backend.encode_special_tokens = True
        self.prefix, self.suffix = self._ask_special_tokens()
        self.pad_id: int = tokenizer.pad_token_id or 0
        self.max_window = self._ask_limit()

    def __call__(self, texts: Sequence[str]) -> list[Tokens]:
        """Tokenise whole texts, many at once."""
        texts = list(texts)
        blocks = (texts[first : first + BLOCK] for first in range(0, len(texts), BLOCK))
        return [tokens for block in blocks for tokens in self._tokenize(block)]

    def _tokenize(self, texts: list[str]) -> Iterator[Tokens]:
        encodings = self._backend.encode_batch([_encodable(text) for text in texts], add_special_tokens=False)
        ids = [encoding.ids for encoding in encodings]
        starts, ends = _exact_offsets(texts, [encoding.offsets for encoding in encodings])
        for own, (low, high) in zip(ids, pairwise(accumulate(map(len, ids), initial=0)), strict=True):
            yield Tokens(own, starts[low:high], ends[low:high])

    def _ask_special_tokens(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """What the tokenizer itself puts before and after a text."""
        for probe in PROBES:
            bare = self._backend.encode(probe, add_special_tokens=False).ids
            full = self._backend.encode(probe, add_special_tokens=True).ids
            for place in range(len(full)):
                if bare and full[place : place + len(bare)] == bare:
                    return tuple(full[:place]), tuple(full[place + len(bare) :])
        raise OptionError(f"the tokenizer {type(self.tokenizer).__name__} knows none of the texts {PROBES}")

    def _ask_limit(self) -> int | None:
        limit = self.tokenizer.model_max_length
        if limit is not None and not isinstance(limit, int | float):
            raise OptionError(f"the tokenizer's model_max_length must be a number, got {limit!r}")
        if limit is None or limit > NO_LIMIT:
            return None
        return int(limit) - len(self.prefix) - len(self.suffix)


def _encodable(text: str) -> str:
    """The text with lone surrogates, which UTF-8 cannot hold, replaced one for one."""
    return LONE_SURROGATES.sub("\ufffd", text)


def _exact_offsets(texts: Sequence[str], offsets: Sequence[Sequence[tuple[int, int]]]) -> tuple[list[int], list[int]]:
    """Offsets of all tokens of all texts, one after the other, trimmed, completed and made monotone.

    The texts are laid end to end, so that a few array operations treat all tokens of a batch at once.
    """
    counts = [len(pairs) for pairs in offsets]
    flat = np.fromiter(chain.from_iterable(chain.from_iterable(offsets)), np.int64, 2 * sum(counts))
    codes = _code_points(texts)
    bases = np.cumsum([0] + [len(text) + 1 for text in texts[:-1]])
    base = np.repeat(bases, counts)
    starts, ends = flat[0::2] + base, flat[1::2] + base
    starts, ends = _trim(starts, ends, codes)
    starts, ends = np.maximum.accumulate(starts), np.maximum.accumulate(ends)
    ends = _complete_marks(starts, ends, codes)
    return (starts - base).tolist(), (ends - base).tolist()


def _code_points(texts: Sequence[str]) -> NDArray[np.uint32]:
    """The texts laid end to end, a zero after each."""
    joined = "\0".join(texts) + "\0"
    return np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), np.uint32)


def _trim(
    starts: NDArray[np.int64], ends: NDArray[np.int64], codes: NDArray[np.uint32]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Take white space off both ends of every token; a token of white space alone becomes empty."""
    is_space = _SPACES[np.minimum(codes, len(_SPACES) - 1)]
    if not (is_space[starts].any() or is_space[ends - 1].any()):
        return starts, ends
    starts = np.minimum(_next_outside(is_space)[starts], ends)
    place = np.arange(1, len(codes) + 1)
    last_outside = np.maximum.accumulate(np.where(is_space, 0, place))
    return starts, np.clip(last_outside[ends - 1], starts, ends)


def _complete_marks(starts: NDArray[np.int64], ends: NDArray[np.int64], codes: NDArray[np.uint32]) -> NDArray[np.int64]:
    """Give combining marks that no token stands for (stripped accents) to the token before them."""
    is_mark = _marks()[codes] if codes.max(initial=0) >= FIRST_MARK else np.zeros(0, bool)
    if not is_mark.any():
        return ends
    size = len(codes) + 1
    opened_less_closed = np.bincount(starts, minlength=size) - np.bincount(ends, minlength=size)
    is_lost = is_mark & (np.cumsum(opened_less_closed)[:-1] == 0)
    return np.where(ends > starts, _next_outside(is_lost)[ends], ends)


def _next_outside(inside: NDArray[np.bool_]) -> NDArray[np.int64]:
    """For every place the first place at or after it that is not `inside` (the last place never is)."""
    place = np.where(inside, len(inside), np.arange(len(inside)))
    return np.minimum.accumulate(place[::-1])[::-1]


_SPACES = np.array([chr(code).isspace() for code in range(0x3002)])
"""Whether a code point is white space; the last white space of Unicode is U+3000."""
FIRST_MARK = 0x300


@cache
def _marks() -> NDArray[np.bool_]:
    """Whether a code point is a mark that modifies the character before it (Unicode categories Mn and Me)."""
    return np.array([unicodedata.category(chr(code)) in ("Mn", "Me") for code in range(sys.maxunicode + 1)])
