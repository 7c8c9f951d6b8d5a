"""Joined texts: every link stays between the tokens it joined, and the joint text is one that could be read."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kexue.encoders.tokenization import Tokens
from kexue.extraction.links import Links, Pair
from kexue.training.extraction.dataset import Example
from kexue.training.extraction.packing import join, packed


def example(number: int, length: int) -> Example:
    """A text of one-character tokens, each known by its id; every pair of neighbours is linked."""
    tokens = Tokens([1000 * number + i for i in range(length)], list(range(length)), list(range(1, length + 1)))
    pairs = [(number, i, i + 1) for i in range(length - 1)]
    return Example(tokens, Links(pairs, [(label, j, i) for label, i, j in pairs], list(pairs)))


def by_ids(pairs: list[Pair], tokens: Tokens) -> list[Pair]:
    return [(label, tokens.ids[first], tokens.ids[second]) for label, first, second in pairs]


@given(lengths=st.lists(st.integers(1, 30), min_size=1, max_size=5))
def test_links_join_the_same_tokens_as_before(lengths):
    parts = [example(number, length) for number, length in enumerate(lengths)]
    whole = join(parts)
    assert whole.tokens.ids == [token for part in parts for token in part.tokens.ids]
    for kind in ("spans", "starts", "ends"):
        expected = [pair for part in parts for pair in by_ids(getattr(part.links, kind), part.tokens)]
        assert by_ids(getattr(whole.links, kind), whole.tokens) == expected
    places = [*zip(whole.tokens.starts, whole.tokens.ends, strict=True)]
    assert all(start < end for start, end in places)
    assert all(end <= start for (_, end), (start, _) in pairwise(places))


@given(
    lengths=st.lists(st.integers(0, 60), max_size=40),
    share=st.floats(0, 1),
    seed=st.integers(0, 100),
)
def test_a_share_of_the_short_texts_is_used_once_in_texts_no_longer_than_a_window(lengths, share, seed):
    window = 64
    examples = [example(number, length) for number, length in enumerate(lengths)]
    packs = packed(examples, share=share, window=window, seed=seed)
    used = [token // 1000 for pack in packs for token in pack.tokens.ids]
    texts = [number for number, before in zip(used, [None, *used], strict=False) if number != before]
    assert len(texts) == len(set(texts)) <= round(share * len(lengths))
    assert all(len(pack.tokens) <= window for pack in packs)
    assert all(2 * lengths[number] <= window for number in texts)
    assert packs == packed(examples, share=share, window=window, seed=seed)


@pytest.mark.parametrize("share", [0.25, 1.0])
def test_nearly_all_that_is_chosen_ends_up_in_texts_of_all_lengths(share: float):
    examples = [example(number, 10 + number % 20) for number in range(2000)]
    packs = packed(examples, share=share, window=254, seed=0)
    tokens = sum(len(pack.tokens) for pack in packs)
    assert 0.8 * share < tokens / sum(len(item.tokens) for item in examples) <= 1.1 * share
    lengths = sorted(len(pack.tokens) for pack in packs)
    assert lengths[len(lengths) // 10] < 80 and lengths[-len(lengths) // 10] > 180
