"""Windows cover every token, and a merged token has the state of the window that knows most around it."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kexue.encoders.tokenization import TextTokenizer, Tokens
from kexue.encoders.windows import collate, merge_windows, owned, plan_parts, plan_windows
from kexue.errors import OptionError

sizes = st.integers(1, 12).flatmap(lambda size: st.tuples(st.just(size), st.integers(0, size - 1)))


def document(*ids: int) -> Tokens:
    return Tokens(list(ids), list(range(len(ids))), list(range(1, len(ids) + 1)))


@given(num_tokens=st.integers(0, 60), pair=sizes)
def test_windows_cover_all_tokens_within_size_and_overlap_enough(num_tokens, pair):
    size, overlap = pair
    windows = plan_windows(num_tokens, size, overlap)
    assert {token for window in windows for token in window} == set(range(num_tokens))
    assert all(len(window) <= size for window in windows)
    assert len({len(window) for window in windows}) == 1
    for left, right in pairwise(windows):
        assert left.stop - right.start >= overlap
        assert left.start < right.start


@given(num_tokens=st.integers(1, 60), pair=sizes)
def test_there_are_as_few_windows_as_the_size_allows_and_none_is_wider_than_it_must_be(num_tokens, pair):
    size, overlap = pair
    windows = plan_windows(num_tokens, size, overlap)
    reach = lambda count, width: count * (width - overlap) + overlap  # noqa: E731
    if len(windows) > 1:
        assert reach(len(windows) - 1, size) < num_tokens
        assert reach(len(windows), len(windows[0]) - 1) < num_tokens


@given(num_tokens=st.integers(1, 60), pair=sizes)
def test_a_token_takes_the_window_in_which_it_lies_farthest_from_the_edge(num_tokens, pair):
    windows = plan_windows(num_tokens, *pair)
    owner = {token: index for index, own in enumerate(owned(windows)) for token in own}
    assert sorted(owner) == list(range(num_tokens))
    for token, index in owner.items():
        room = [min(token - window.start, window.stop - 1 - token) if token in window else -1 for window in windows]
        assert room[index] == max(room)


@given(lengths=st.lists(st.integers(0, 20), min_size=1, max_size=6), pair=sizes)
def test_parts_have_windows_of_their_own(lengths, pair):
    starts = [sum(lengths[:index]) for index in range(len(lengths))]
    windows = plan_parts(starts, sum(lengths), *pair)
    apart = [plan_windows(length, *pair) for length in lengths if length] or [[range(0)]]
    assert [len(window) for window in windows] == [len(window) for part in apart for window in part]
    assert {token for window in windows for token in window} == set(range(sum(lengths)))
    assert [token for own in owned(windows) for token in own] == list(range(sum(lengths)))
    for window in windows:
        assert not any(window.start < start < window.stop for start in starts)


@pytest.mark.parametrize(("size", "overlap"), [(8, 8), (8, 9), (0, 0), (8, -1)])
def test_windows_that_cannot_overlap_so_are_refused(size, overlap):
    with pytest.raises(OptionError, match="cannot overlap"):
        plan_windows(100, size, overlap)


@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lengths=st.lists(st.integers(0, 40), min_size=1, max_size=4), pair=sizes)
def test_merging_puts_every_token_back_in_its_place(any_tokenizer, lengths, pair):
    tokenizer = TextTokenizer(any_tokenizer)
    size, overlap = pair
    size, overlap = min(size, tokenizer.max_window or size), min(overlap, (tokenizer.max_window or size) - 1)
    documents = [document(*range(1000 * d, 1000 * d + length)) for d, length in enumerate(lengths, 1)]
    batch = collate(documents, tokenizer, window=size, overlap=overlap)
    merged = merge_windows(batch.input_ids[..., None].float(), batch)[..., 0]
    for row, tokens in enumerate(documents):
        assert batch.mask[row].tolist() == [i < len(tokens) for i in range(batch.mask.shape[1])]
        assert merged[row][batch.mask[row]].tolist() == tokens.ids


def test_windows_are_surrounded_by_special_tokens_and_padded(word_piece):
    tokenizer = TextTokenizer(word_piece)
    batch = collate([document(10, 11, 12, 13), document(20)], tokenizer, window=3, overlap=1)
    rows = [[2, 10, 11, 12, 3], [2, 11, 12, 13, 3], [2, 20, 3]]
    assert batch.input_ids.tolist() == [row + [0] * (8 - len(row)) for row in rows]
    assert batch.attention_mask.tolist() == [[1] * len(row) + [0] * (8 - len(row)) for row in rows]
    assert batch.gather.tolist() == [[1, 2, 10, 11], [17, 0, 0, 0]]
    assert batch.mask.tolist() == [[True] * 4, [True, False, False, False]]


def test_padding_to_a_round_width_never_exceeds_what_the_encoder_has_positions_for(word_piece):
    tokenizer = TextTokenizer(word_piece)
    tokenizer.max_window = 9
    batch = collate([document(*range(10, 19))], tokenizer, window=9, overlap=1)
    assert batch.input_ids.shape == (1, 11)


def test_a_token_that_stands_for_white_space_alone_can_neither_begin_nor_end_a_span(byte_level):
    tokenizer = TextTokenizer(byte_level)
    tokens = tokenizer(["a \n \n b", "a"])
    empty = [start == end for start, end in zip(tokens[0].starts, tokens[0].ends, strict=True)]
    assert any(empty)
    batch = collate(tokens, tokenizer, window=8, overlap=2)
    assert batch.mask.tolist() == [[not e for e in empty], [True] + [False] * (len(empty) - 1)]


def test_empty_documents_alone_still_make_a_batch_that_an_encoder_can_take(any_tokenizer):
    batch = collate([document(), document()], TextTokenizer(any_tokenizer), window=4, overlap=1)
    assert batch.input_ids.shape[0] == 2
    assert batch.attention_mask.any(1).all()
    assert batch.mask.tolist() == [[False], [False]]


def test_the_gradient_of_a_state_reaches_only_the_window_it_came_from(word_piece):
    batch = collate([document(*range(10))], TextTokenizer(word_piece), window=6, overlap=2)
    states = torch.randn(*batch.input_ids.shape, 3, requires_grad=True)
    merge_windows(states, batch).sum().backward()
    assert (states.grad != 0).any(-1).sum() == 10
    assert states.grad[:, [0, -1]].abs().sum() == 0


def test_a_window_wider_than_the_encoder_allows_is_refused(byte_level):
    with pytest.raises(OptionError, match="takes 14"):
        collate([document(1)], TextTokenizer(byte_level), window=15, overlap=1)
