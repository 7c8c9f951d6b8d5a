"""Words are those that a person sees, in Chinese and in English, whatever pieces the tokenizer makes."""

from __future__ import annotations

from itertools import accumulate

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerBase

from kexue.encoders.tokenization import TextTokenizer
from kexue.errors import OptionError
from kexue.training.pretraining import words as words_module
from kexue.training.pretraining.words import SEGMENTERS, WORD_LENGTHS, Jieba, NGrams, best_segmenter, word_begins


def in_twos(run: str) -> list[int]:
    return [2] * (len(run) // 2) + [1] * (len(run) % 2)


def words_of(text: str, tokenizer: PreTrainedTokenizerBase) -> list[str]:
    """The characters of each word, from the offsets of its tokens."""
    own = TextTokenizer(tokenizer)
    (tokens,) = own([text])
    (begins,) = word_begins([text], [tokens], in_twos)
    firsts = np.flatnonzero(begins).tolist()
    lasts = [*(place - 1 for place in firsts[1:]), len(tokens) - 1]
    return [text[tokens.starts[first] : tokens.ends[last]] for first, last in zip(firsts, lasts, strict=True)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Unbelievable thrombocytopenia", ["Unbelievable", "thrombocytopenia"]),
        ("in 1984, 12.5%", ["in", "1984", ",", "12", ".", "5", "%"]),
        ("don't-know", ["don", "'", "t", "-", "know"]),
        ("naïve cafe\u0301s", ["naïve", "cafe\u0301s"]),
        ("我们来到北京。", ["我们", "来到", "北京", "。"]),
        ("他在IBM工作3年", ["他在", "IBM", "工作", "3", "年"]),
        ("  spaces\n here ", ["spaces", "here"]),
    ],
)
def test_words_are_whole(text: str, words: list[str], tokenizer: PreTrainedTokenizerBase):
    assert words_of(text, tokenizer) == words


def test_texts_of_a_block_do_not_touch_one_another(tokenizer: PreTrainedTokenizerBase):
    own, texts = TextTokenizer(tokenizer), ["one", "two three", "", "中国人民"]
    together = word_begins(texts, own(texts), in_twos)
    alone = [word_begins([text], own([text]), in_twos)[0] for text in texts]
    assert [begins.tolist() for begins in together] == [begins.tolist() for begins in alone]
    assert all(begins[0] for begins in together if len(begins))


@given(st.integers(1, 300))
def test_spans_without_a_dictionary_fill_their_run_exactly(length: int):
    lengths = NGrams()("中" * length)
    assert sum(lengths) == length
    assert all(1 <= one <= 4 for one in lengths)


def test_spans_without_a_dictionary_are_as_long_as_words_and_the_same_in_every_pass():
    lengths = NGrams()("中" * 50_000)
    shares = np.bincount(lengths, minlength=5)[1:] / len(lengths)
    assert np.abs(shares - WORD_LENGTHS).max() < 0.015
    assert lengths == NGrams()("中" * 50_000)


def test_jieba_knows_words():
    pytest.importorskip("rjieba", reason="the extra for Chinese is not installed")
    assert best_segmenter() == "jieba"
    lengths = Jieba()("我来到北京清华大学")
    assert [*accumulate(lengths)] == [1, 3, 5, 9]


def test_without_the_extra_the_spans_are_taken_and_jieba_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(words_module, "find_spec", lambda name: None)
    assert best_segmenter() == "ngrams"
    with pytest.raises(OptionError, match=r"pip install 'kexue\[chinese\]'"):
        SEGMENTERS["jieba"]()
