"""Tokens stand for exactly the characters they say, whatever the text and whatever the tokenizer."""

from __future__ import annotations

import pickle
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from kexue.encoders.tokenization import BLOCK, TextTokenizer, Tokens, _exact_offsets, token_span
from kexue.errors import OptionError

NASTY = [
    "👩‍👩‍👧🙂",
    "ＡＢＣ　１２３",
    "cafe\u0301",
    "e\u0301\u0323",
    "é",
    "\r\n",
    "\t",
    "  ",
    "\u2028",
    "\u00a0",
    "\u200b",
    "\ufeff",
    "שלום",
    "وُلدت",
    "\u202e",
    "居里夫人",
    "𠀀",
    "ǆ½㎏ﬁ",
    "İ",
    "ß",
    "[SEP]",
    "</s>",
    "<pad>",
    "\ud800",
    "Curie",
    "1867",
    "a",
    "\x00",
    "\x1f",
    "각",
    "ไทย",
    "नमस्ते",
]
texts = st.lists(st.one_of(st.sampled_from(NASTY), st.text(max_size=3)), max_size=6).map("".join)
relaxed = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


def surfaces(tokens: Tokens, text: str) -> list[str]:
    return [text[start:end] for start, end in zip(tokens.starts, tokens.ends, strict=True)]


@relaxed
@given(batch=st.lists(texts, min_size=1, max_size=4))
def test_offsets_are_ordered_inside_the_text_and_free_of_white_space(any_tokenizer, batch):
    for text, tokens in zip(batch, TextTokenizer(any_tokenizer)(batch), strict=True):
        assert len(tokens.ids) == len(tokens.starts) == len(tokens.ends)
        for start, end in zip(tokens.starts, tokens.ends, strict=True):
            assert 0 <= start <= end <= len(text)
            assert text[start:end] == text[start:end].strip()
        for ends in (tokens.starts, tokens.ends):
            assert all(left <= right for left, right in pairwise(ends))


@relaxed
@given(text=texts, data=st.data())
def test_a_span_of_tokens_comes_back_up_to_tokens_that_share_a_character(any_tokenizer, text, data):
    tokens = TextTokenizer(any_tokenizer)([text])[0]
    full = [i for i in range(len(tokens)) if tokens.starts[i] < tokens.ends[i]]
    if not full:
        return
    first, last = sorted(data.draw(st.tuples(st.sampled_from(full), st.sampled_from(full))))
    start, end = tokens.starts[first], tokens.ends[last]
    found = token_span(tokens, start, end)
    assert found.exact == (tokens.starts[found.first] == start and tokens.ends[found.last] == end)
    assert found.first <= first <= last <= found.last
    assert all(tokens.ends[i] > start for i in range(found.first, first))
    assert all(tokens.starts[i] < end for i in range(last + 1, found.last + 1))


@relaxed
@given(text=texts, data=st.data())
def test_the_span_of_characters_is_the_one_found_by_trying_every_token(any_tokenizer, text, data):
    tokens = TextTokenizer(any_tokenizer)([text])[0]
    start, end = sorted(data.draw(st.tuples(*[st.integers(0, len(text))] * 2)))
    touched = [i for i in range(len(tokens)) if max(start, tokens.starts[i]) < min(end, tokens.ends[i])]
    found = token_span(tokens, start, end)
    assert (found and found[:2]) == ((touched[0], touched[-1]) if touched else None)


@relaxed
@given(text=texts)
def test_byte_level_tokens_leave_out_no_character_but_white_space(byte_level, text):
    tokens = TextTokenizer(byte_level)([text])[0]
    covered = {i for pair in zip(tokens.starts, tokens.ends, strict=True) for i in range(*pair)}
    assert {i for i, character in enumerate(text) if not character.isspace()} <= covered


@relaxed
@given(batch=st.lists(texts, max_size=5))
def test_a_text_has_the_same_tokens_alone_and_in_a_batch(any_tokenizer, batch):
    tokenizer = TextTokenizer(any_tokenizer)
    assert tokenizer(batch) == [tokenizer([text])[0] for text in batch]


def test_each_byte_of_an_emoji_has_the_offsets_of_the_emoji(byte_level):
    tokens = TextTokenizer(byte_level)(["a\U0001f9ffb"])[0]
    assert len(tokens) > 3
    assert surfaces(tokens, "a\U0001f9ffb") == ["a", *["\U0001f9ff"] * (len(tokens) - 2), "b"]
    assert token_span(tokens, 1, 2) == (1, len(tokens) - 2, True)


def test_a_stripped_accent_stays_with_its_letter(word_piece):
    text = "cafe\u0301 cafe\u0323\u0301s"
    tokens = TextTokenizer(word_piece)([text])[0]
    assert "".join(surfaces(tokens, text)) == text.replace(" ", "")
    assert token_span(tokens, 0, 5).exact


def test_white_space_of_every_kind_belongs_to_no_token(any_tokenizer):
    text = " \tMarie\r\nCurie\u3000\u2028born\u00a0in \n"
    tokens = TextTokenizer(any_tokenizer)([text])[0]
    assert "".join(surfaces(tokens, text)) == "MarieCurieborn" + "in"


def test_white_space_around_a_wanted_span_makes_it_inexact_but_does_not_move_it(word_piece):
    tokens = TextTokenizer(word_piece)(["a  b  c"])[0]
    assert token_span(tokens, 3, 4) == (1, 1, True)
    assert token_span(tokens, 2, 5) == (1, 1, False)
    assert token_span(tokens, 1, 3) is None
    assert token_span(tokens, 3, 3) is None


def test_the_names_of_special_tokens_in_a_text_are_ordinary_text(word_piece, byte_level):
    for wrapped in (word_piece, byte_level):
        text = "a[SEP]b [PAD] </s><pad> [CLS]"
        tokens = TextTokenizer(wrapped)([text])[0]
        assert not {0, 2} & set(tokens.ids)
        assert "".join(surfaces(tokens, text)) == text.replace(" ", "")


def test_the_name_of_a_special_token_keeps_its_offsets_even_where_the_vocabulary_holds_it(unigram):
    text = "a </s> b"
    assert "</s>" in surfaces(TextTokenizer(unigram)([text])[0], text)


def test_truncation_and_padding_saved_with_a_tokenizer_are_switched_off_in_a_copy(word_piece):
    before = word_piece.backend_tokenizer.to_str()
    assert len(TextTokenizer(word_piece)(["a"])[0]) == 1
    assert len(TextTokenizer(word_piece)(["a " * 50])[0]) == 50
    assert word_piece.backend_tokenizer.to_str() == before


def test_the_special_tokens_are_those_the_tokenizer_itself_puts_around(any_tokenizer, minilm):
    for wrapped in (any_tokenizer, AutoTokenizer.from_pretrained(minilm)):
        tokenizer = TextTokenizer(wrapped)
        ids = tokenizer(["Marie Curie"])[0].ids
        whole = wrapped("Marie Curie", padding=False, truncation=False)["input_ids"]
        assert whole == [*tokenizer.prefix, *ids, *tokenizer.suffix]


def test_the_widest_window_leaves_room_for_special_tokens(byte_level, any_tokenizer, minilm):
    assert TextTokenizer(byte_level).max_window == 14
    assert TextTokenizer(AutoTokenizer.from_pretrained(minilm)).max_window == 510
    if any_tokenizer.model_max_length > 10**9:
        assert TextTokenizer(any_tokenizer).max_window is None


def test_a_slow_tokenizer_is_refused_with_the_remedy():
    class Slow:
        is_fast = False

    with pytest.raises(OptionError, match=r"Slow is not a fast one .* tokenizer\.json"):
        TextTokenizer(Slow())


def test_a_tokenizer_whose_offsets_go_back_still_gives_ordered_ones():
    starts, ends = _exact_offsets(["abcd", "ef"], [[(0, 3), (0, 0), (2, 3), (1, 4)], [(1, 2), (0, 1)]])
    assert (starts, ends) == ([0, 0, 2, 2, 1, 1], [3, 3, 3, 4, 2, 2])


def test_no_texts_give_no_tokens_and_empty_texts_empty_ones(any_tokenizer):
    tokenizer = TextTokenizer(any_tokenizer)
    assert tokenizer([]) == []
    assert [len(tokens) for tokens in tokenizer(["", "Marie", ""])][::2] == [0, 0]


def test_more_texts_than_a_block_come_back_in_order(word_piece):
    many = [f"{number % 10} a" for number in range(BLOCK + 5)]
    assert TextTokenizer(word_piece)(many)[BLOCK:] == TextTokenizer(word_piece)(many[BLOCK:])


def test_a_tokenizer_travels_to_a_worker_process(word_piece):
    tokenizer = TextTokenizer(word_piece)
    assert pickle.loads(pickle.dumps(tokenizer))(["Marie"]) == tokenizer(["Marie"])
