"""Short training texts joined into long ones, so that a model of sentences can be used on documents.

A model that has only seen sentences is lost in a paragraph: positions and contexts are new to it, and nothing has
taught it that a subject here and an object three sentences on have nothing to do with each other (docs/log.md: two
sentences in one text cost half of the relations). So in every epoch a share of the texts, other ones each time, is
joined at random to texts that fill up to a window. Texts of a window or more teach what long texts teach by themselves:
they stay alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import numpy as np

from kexue.encoders.tokenization import Tokens
from kexue.extraction.links import Links


@dataclass(frozen=True, slots=True)
class Example:
    """One document, ready to be batched."""

    tokens: Tokens
    links: Links


class Packing:
    """How many documents each text of an epoch is made of: the same numbers in every epoch, of other documents."""

    def __init__(self, lengths: Sequence[int], *, share: float, window: int, seed: int) -> None:
        """`share` of the documents of less than `window` tokens is joined to texts of about a window at most.

        `lengths` are those of all documents in tokens.
        """
        self.is_short = [length < window for length in lengths]
        count = sum(self.is_short)
        tokens = sum(length for length in lengths if length < window)
        most = int(window * count / max(1, tokens))  # documents of average length in a window
        joined = round(share * count) if most > 1 else 0
        self.sizes = [1] * (len(lengths) - joined)
        generator = np.random.default_rng(seed)
        while joined:
            size = min(joined, int(generator.integers(2, most + 1)))
            self.sizes.append(size)
            joined -= size

    def __len__(self) -> int:
        return len(self.sizes)

    def texts(self, generator: np.random.Generator) -> list[tuple[int, ...]]:
        """The documents of each text, every document once."""
        order = generator.permutation(len(self.is_short)).tolist()
        order.sort(key=self.is_short.__getitem__)  # the long ones come first, where texts are of one document
        return [tuple(order[first:last]) for first, last in pairwise(accumulate(self.sizes, initial=0))]


def join(examples: Sequence[Example]) -> Example:
    """One text after the other; each keeps its own links."""
    tokens, links = Tokens([], [], []), Links()
    for example in examples:
        first, place = len(tokens), tokens.ends[-1] + 1 if len(tokens) else 0
        tokens.ids.extend(example.tokens.ids)
        tokens.starts.extend(place + start for start in example.tokens.starts)
        tokens.ends.extend(place + end for end in example.tokens.ends)
        moved = example.links.moved(first)
        links.spans.extend(moved.spans)
        links.triples.extend(moved.triples)
    return Example(tokens, links)
