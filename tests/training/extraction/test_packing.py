"""Joined texts: every document once an epoch, other ones joined each time, every link where it was."""

from __future__ import annotations

from itertools import chain, pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from kexue.encoders.tokenization import Tokens
from kexue.extraction.links import Links, Pair
from kexue.training.extraction.packing import Example, Packing, join


def example(number: int, length: int) -> Example:
    """A text of one-character tokens, each known by its id; every pair of neighbours is linked."""
    tokens = Tokens([1000 * number + i for i in range(length)], list(range(length)), list(range(1, length + 1)))
    pairs = [(number, i, i + 1) for i in range(length - 1)]
    return Example(tokens, Links(pairs, [(label, j, j, i, i) for label, i, j in pairs]))


def by_ids(pairs: list[Pair], tokens: Tokens) -> list[Pair]:
    return [(label, tokens.ids[first], tokens.ids[second]) for label, first, second in pairs]


@given(lengths=st.lists(st.integers(0, 30), min_size=1, max_size=5))
def test_links_join_the_same_tokens_as_before(lengths: list[int]):
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
    lengths=st.lists(st.integers(0, 200), max_size=60),
    share=st.floats(0, 1),
    window=st.integers(8, 300),
    seed=st.integers(0, 100),
)
def test_every_document_comes_once_an_epoch_and_no_epoch_is_longer(
    lengths: list[int], share: float, window: int, seed: int
):
    packing = Packing(lengths, share=share, window=window, seed=seed)
    for epoch in range(3):
        texts = packing.texts(np.random.default_rng((seed, epoch)))
        assert len(texts) == len(packing)
        assert sorted(chain.from_iterable(texts)) == list(range(len(lengths)))


def test_the_share_is_joined_to_texts_of_all_lengths_up_to_about_a_window():
    lengths = [10 + number % 21 for number in range(2000)]
    packing = Packing(lengths, share=0.4, window=200, seed=0)
    texts = packing.texts(np.random.default_rng(0))
    joined = [text for text in texts if len(text) > 1]
    assert sum(map(len, joined)) == 800
    tokens = [sum(lengths[index] for index in text) for text in joined]
    assert set(map(len, joined)) == set(range(2, 11)) and np.mean(np.array(tokens) > 200) < 0.1
    others = packing.texts(np.random.default_rng(1))
    assert texts != others


def test_texts_of_a_window_or_more_stay_alone_and_hold_no_short_one_back():
    lengths = [254 if number % 20 == 0 else 1000 if number % 20 == 1 else 20 for number in range(200)]
    packing = Packing(lengths, share=0.5, window=254, seed=0)
    for epoch in range(5):
        joined = [text for text in packing.texts(np.random.default_rng(epoch)) if len(text) > 1]
        assert sum(map(len, joined)) == 90
        assert {lengths[index] for text in joined for index in text} == {20}
        assert max(map(len, joined)) > 6
    assert Packing([254] * 50, share=1.0, window=254, seed=0).sizes == [1] * 50


def test_the_texts_of_an_epoch_follow_from_its_generator():
    packing = Packing([20] * 10, share=0.6, window=100, seed=0)
    assert packing.texts(np.random.default_rng(0)) == [(4,), (6,), (2,), (7,), (3, 5, 9, 0, 8), (1,)]


def test_texts_of_half_a_window_or_more_stay_alone():
    assert Packing([130] * 50, share=1.0, window=254, seed=0).sizes == [1] * 50
    assert Packing([20] * 50, share=0.0, window=254, seed=0).sizes == [1] * 50
