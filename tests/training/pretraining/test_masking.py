"""The law of masking: its shares, whole words, and what is never touched."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerBase

from kexue.encoders.gau import IGNORED
from kexue.errors import OptionError
from kexue.training.pretraining.masking import Masking

MASK = 4


@pytest.fixture
def masking(tokenizer: PreTrainedTokenizerBase) -> Masking:
    return Masking.of(tokenizer, 0.15)


def corrupt(masking: Masking, generator: np.random.Generator, shape: tuple[int, int], begin: float = 0.6):
    ids = generator.choice(masking.ordinary, shape)
    begins = generator.random(shape) < begin
    complete = generator.random(shape[0]) < 0.5
    seen, labels = masking(ids, begins, complete, generator.random((3, *shape), dtype=np.float32))
    return ids, begins, complete, seen, labels


def word_numbers(begins: list[bool]) -> list[int]:
    numbers, number = [], -1
    for begin in begins:
        number += begin
        numbers.append(number)
    return numbers


def test_the_shares_are_those_of_the_law(masking: Masking):
    ids, _, _, seen, labels = corrupt(masking, np.random.default_rng(0), (400, 500))
    chosen = labels != IGNORED
    assert chosen.mean() == pytest.approx(0.15, abs=0.003)
    hidden, kept = chosen & (seen == masking.mask_id), chosen & (seen == ids)
    assert hidden.sum() / chosen.sum() == pytest.approx(0.8, abs=0.01)
    assert kept.sum() / chosen.sum() == pytest.approx(0.1, abs=0.01)
    random = seen[chosen & ~hidden & ~kept]
    assert not np.isin(random, np.flatnonzero(masking.fixed)).any()
    assert len(np.unique(random)) > 0.8 * len(masking.ordinary)


@given(st.integers(0, 10_000), st.floats(0.1, 1.0))
def test_words_are_hidden_whole_or_not_at_all(seed: int, begin: float):
    masking = Masking(0.3, MASK, np.arange(50) < 5, np.arange(5, 50))
    ids, begins, complete, seen, labels = corrupt(masking, np.random.default_rng(seed), (4, 24), begin)
    for row in range(len(ids)):
        numbers = word_numbers(begins[row].tolist())
        chosen = [label != IGNORED for label in labels[row].tolist()]
        for number in set(numbers):
            own = [flag for flag, other in zip(chosen, numbers, strict=True) if other == number]
            assert len(set(own)) == 1, "a part of a word is chosen"
            torn = number == -1 or (number == numbers[-1] and not complete[row])
            assert not (torn and own[0]), "a word of which a part is outside is chosen"
            fates = {seen[row, place] == MASK for place, other in enumerate(numbers) if other == number and own[0]}
            assert len(fates) <= 1, "a word is hidden in part only"
        for place, flag in enumerate(chosen):
            assert labels[row, place] == (ids[row, place] if flag else IGNORED)
            assert flag or seen[row, place] == ids[row, place]


def test_special_tokens_are_never_chosen_nor_drawn_but_unknown_ones_may_be(
    masking: Masking, tokenizer: PreTrainedTokenizerBase
):
    generator = np.random.default_rng(0)
    ids = generator.choice(tokenizer.all_special_ids, (50, 50))
    everything = Masking(1.0, masking.mask_id, masking.fixed, masking.ordinary)
    full = np.ones((50, 50), bool)
    seen, labels = everything(ids, full, full[:, 0], generator.random((3, 50, 50), dtype=np.float32))
    assert set(labels.ravel()) == {IGNORED, tokenizer.unk_token_id}
    assert (seen == ids)[ids != tokenizer.unk_token_id].all()
    assert not set(masking.ordinary) & set(tokenizer.all_special_ids)


def test_draws_just_under_one_stay_within_the_vocabulary(masking: Masking):
    ids = np.full((1, 4), masking.ordinary[0])
    draws = np.full((3, 1, 4), np.nextafter(np.float32(1), np.float32(0)))
    draws[0] = 0.0
    draws[1] = 0.85
    seen, labels = masking(ids, np.ones((1, 4), bool), np.ones(1, bool), draws)
    assert (seen == masking.ordinary[-1]).all() and (labels == ids).all()


def test_a_vocabulary_without_a_mask_is_refused(tokenizer: PreTrainedTokenizerBase):
    class Maskless:
        mask_token_id = None

    with pytest.raises(OptionError, match="has no mask token"):
        Masking.of(Maskless(), 0.15)  # type: ignore[arg-type]
