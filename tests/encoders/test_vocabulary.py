"""A vocabulary learnt from texts: what becomes a token, what is unknown, and that it comes back."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from kexue.encoders.tokenization import TextTokenizer
from kexue.encoders.vocabulary import SPECIAL_TOKENS, train_tokenizer
from kexue.errors import OptionError

CORPUS = [
    "周星驰主演了《喜剧之王》，1999年2月13日上映。",
    "Shostakovich wrote 15 symphonies; symphonies!",
] * 4


@pytest.fixture(scope="module")
def trained():
    return train_tokenizer(CORPUS, vocab_size=200)


def pieces(tokenizer, text: str) -> list[tuple[str, str]]:
    tokens = TextTokenizer(tokenizer)([text])[0]
    names = tokenizer.convert_ids_to_tokens(tokens.ids)
    return [(name, text[start:end]) for name, start, end in zip(names, tokens.starts, tokens.ends, strict=True)]


def test_each_chinese_character_digit_and_sign_is_a_token(trained):
    text = "周星驰1999年，《喜》"
    assert [surface for _, surface in pieces(trained, text)] == list(text)
    assert all(name != "[UNK]" for name, _ in pieces(trained, text))


def test_frequent_words_become_few_pieces_and_no_piece_reaches_over_a_word(trained):
    assert pieces(trained, "symphonies") == [("symphonies", "symphonies")]
    joined = [surface for _, surface in pieces(trained, "symphonies15之symphonies-symphonies")]
    assert joined == ["symphonies", "1", "5", "之", "symphonies", "-", "symphonies"]


def test_each_unknown_character_is_one_unknown_token(trained):
    assert pieces(trained, "周龘龘🙂驰") == [
        ("周", "周"), ("[UNK]", "龘"), ("[UNK]", "龘"), ("[UNK]", "🙂"), ("驰", "驰"),
    ]  # fmt: skip
    assert [surface for name, surface in pieces(trained, "symphθθnies") if name == "[UNK]"] == ["θ", "θ"]


def test_a_character_seen_once_is_left_unknown_so_that_unknown_is_learnt():
    tokenizer = train_tokenizer(["喜喜剧剧王"])
    assert [name for name, _ in pieces(tokenizer, "喜剧王")] == ["喜", "剧", "[UNK]"]


def test_full_width_forms_are_the_ordinary_ones_with_their_own_offsets(trained):
    assert pieces(trained, "１９　９") == [("1", "１"), ("9", "９"), ("9", "９")]


def test_case_is_kept_unless_told_otherwise(trained):
    lower = train_tokenizer(CORPUS, lowercase=True)
    assert pieces(lower, "SYMPHONIES") == [("symphonies", "SYMPHONIES")]
    assert pieces(trained, "SYMPHONIES") != [("symphonies", "SYMPHONIES")]


@settings(deadline=None, max_examples=50)
@given(
    text=st.text(  # U+FFFD stands for what was lost before, and BERT's normaliser drops it
        st.characters(categories=["Lo", "Nd", "Po", "Sc", "So"], exclude_characters="\ufffd"), max_size=12
    )
)
def test_no_visible_character_is_lost(trained, text):
    tokens = TextTokenizer(trained)([text])[0]
    covered = {i for pair in zip(tokens.starts, tokens.ends, strict=True) for i in range(*pair)}
    assert covered == set(range(len(text)))


@pytest.mark.parametrize("vocab_size", [12, 20, 60, 75])
def test_the_vocabulary_keeps_to_its_size_and_is_the_same_in_every_run(vocab_size):
    first, second = (train_tokenizer(CORPUS, vocab_size=vocab_size, min_frequency=1) for _ in range(2))
    assert len(first) <= vocab_size
    assert first.backend_tokenizer.to_str() == second.backend_tokenizer.to_str()
    assert all(train_tokenizer(CORPUS).get_vocab() == train_tokenizer(CORPUS).get_vocab() for _ in range(3))


def test_a_saved_tokenizer_reads_alike(trained, tmp_path):
    trained.save_pretrained(tmp_path)
    again = AutoTokenizer.from_pretrained(tmp_path)
    text = "周星驰 wrote 15 symphonies 龘"
    assert pieces(again, text) == pieces(trained, text)
    assert again(text)["input_ids"] == trained(text)["input_ids"]
    assert again.convert_ids_to_tokens(range(5)) == list(SPECIAL_TOKENS)
    assert (again.pad_token_id, again.mask_token) == (0, "[MASK]")


@pytest.mark.parametrize("texts", [[], [""], [" \n"]])
def test_nothing_to_learn_from_is_refused(texts):
    with pytest.raises(OptionError, match="no character"):
        train_tokenizer(texts)


def test_a_vocabulary_without_room_is_refused():
    with pytest.raises(OptionError, match="leave no character"):
        train_tokenizer(CORPUS, vocab_size=5)
