"""Batches of like length, and devices that are there."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kexue.errors import OptionError
from kexue.extraction.inference import batches_of_like_length, find_candidates
from kexue.ops.device import choose_device
from tests.extraction.tiny import TEXTS, tiny_checkpoint

lengths = st.lists(st.integers(0, 500), max_size=60)


@given(lengths, st.integers(1, 3000), st.none() | st.integers(1, 9))
def test_every_text_is_in_one_batch_and_batches_keep_their_bounds(
    lengths: list[int], batch_tokens: int, batch_size: int | None
):
    batches = list(batches_of_like_length(lengths, batch_tokens=batch_tokens, batch_size=batch_size))
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    for batch in batches:
        width = max(lengths[index] for index in batch)
        assert len(batch) == 1 or len(batch) * width <= batch_tokens
        assert batch_size is None or len(batch) <= batch_size
    shown = [lengths[index] for batch in batches for index in batch]
    assert shown == sorted(shown, reverse=True)


@given(lengths, st.integers(1, 3000))
def test_a_batch_is_closed_only_when_the_next_text_does_not_fit(lengths: list[int], batch_tokens: int):
    batches = list(batches_of_like_length(lengths, batch_tokens=batch_tokens))
    for batch in batches[:-1]:
        assert (len(batch) + 1) * max(1, lengths[batch[0]]) > batch_tokens


def test_candidates_come_with_the_number_and_the_tokens_of_their_text():
    checkpoint = tiny_checkpoint(window=8, overlap=2)
    tokenizer = checkpoint.text_tokenizer
    found = list(find_candidates(checkpoint.model, tokenizer, TEXTS, batch_size=2))
    assert sorted(item.index for item in found) == list(range(len(TEXTS)))
    for item in found:
        assert item.tokens == tokenizer([TEXTS[item.index]])[0]
        assert item.candidates.spans.numel() == 0 or item.candidates.spans[:, 1:].max() < len(item.tokens)


def test_no_texts_have_no_candidates():
    checkpoint = tiny_checkpoint()
    assert list(find_candidates(checkpoint.model, checkpoint.text_tokenizer, [])) == []


def test_the_best_device_is_chosen_where_none_is_named():
    assert choose_device().type == ("cuda" if torch.cuda.is_available() else "cpu")
    assert choose_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize("name", ["gpu", "", "cuda:99", "cpu;"])
def test_a_device_that_is_not_there_is_refused_in_one_line(name: str):
    with pytest.raises(OptionError) as error:
        choose_device(name)
    assert str(error.value).startswith(f"device {name!r} cannot be used here") and "\n" not in str(error.value)
