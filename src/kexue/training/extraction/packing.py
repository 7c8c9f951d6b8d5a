"""Short training texts joined into long ones, so that a model of sentences can be used on documents.

A model that has only seen sentences is lost in a paragraph: positions and contexts are new to it, and nothing has
taught it that a subject here and an object three sentences on have nothing to do with each other. So a share of the
texts is trained on a second time, joined at random into texts of any length up to one window (docs/log.md: in
documents of 50 sentences the relations' F1 falls from 61.9 to 0.7 without it). Long texts have neighbours of their own
and stay as they are.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from kexue.encoders.tokenization import Tokens
from kexue.extraction.links import Links, Pair
from kexue.training.extraction.dataset import Example


def packed(examples: Sequence[Example], *, share: float, window: int, seed: int) -> list[Example]:
    """Texts of two or more random examples, of at most `window` tokens, that use up this share of the short ones."""
    chance = random.Random(seed)
    short = [example for example in examples if 0 < len(example.tokens) <= window // 2]
    chosen = chance.sample(short, round(share * len(short)))
    return [join(pack) for pack in _packs(chosen, window, chance) if len(pack) > 1]


def _packs(examples: Sequence[Example], window: int, chance: random.Random) -> Iterator[list[Example]]:
    """Neighbours whose lengths add up to at most a length drawn anew for each pack."""
    pack: list[Example] = []
    room = 0
    for example in examples:
        if len(example.tokens) > room:
            yield pack
            pack, room = [], max(chance.randint(1, window), 2 * len(example.tokens))
        pack.append(example)
        room -= len(example.tokens)
    yield pack


def join(examples: Sequence[Example]) -> Example:
    """One text after the other; each keeps its own links."""
    tokens, links = Tokens([], [], []), Links()
    for example in examples:
        first, place = len(tokens), tokens.ends[-1] + 1 if len(tokens) else 0
        tokens.ids.extend(example.tokens.ids)
        tokens.starts.extend(place + start for start in example.tokens.starts)
        tokens.ends.extend(place + end for end in example.tokens.ends)
        links.spans.extend(_moved(example.links.spans, first))
        links.starts.extend(_moved(example.links.starts, first))
        links.ends.extend(_moved(example.links.ends, first))
    return Example(tokens, links)


def _moved(pairs: Sequence[Pair], by: int) -> Iterator[Pair]:
    return ((label, first + by, second + by) for label, first, second in pairs)
