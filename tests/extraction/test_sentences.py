"""Where sentences end, in English and Chinese, and where a full stop ends nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kexue.extraction.sentences import part_starts, sentence_numbers, sentence_starts


def sentences(text: str) -> list[str]:
    starts = sentence_starts(text)
    return [text[start:end].strip() for start, end in zip(starts, [*starts[1:], None], strict=True)]


@pytest.mark.parametrize(
    "parts",
    [
        ["A rash followed.", "It went away."],
        ["Did it help?", "No!", "Nothing did..."],
        ['He said "stop."', "(It did not.)", "Then it did."],
        ["阿司匹林引起皮疹。", "停药后消失！", "复发了吗？"],
        ["他说：“停药。”", "皮疹消失。"],
        ["Fever (39.5 C) began on day 3.", "5 mg were given."],
        ["a title without a stop", "", "The first sentence."],
    ],
)
def test_these_are_several_sentences(parts: list[str]):
    between = "" if "。" in parts[0] else " "
    text = between.join(parts).replace("  ", "\n\n") if "" in parts else between.join(parts)
    assert sentences(text) == [part for part in parts if part]


@pytest.mark.parametrize(
    "text",
    [
        "Dr. Smith gave 2.5 mg vs. Placebo.",
        "Dr . Smith came .",
        "Infection with E. Coli and J. Doe et al. Reported it.",
        "The U.S. Army used it i.v. Twice.",
        "The drug (see fig. 2) helped.",
        "it ended... and went on.",
        "A line\nthat is wrapped.",
        "共16.3万吨，长274.2米；宽50米。",
        "",
        "...",
        "。。。",
        "他说：“停药。”",
    ],
)
def test_this_is_one_sentence(text: str):
    assert sentence_starts(text) == [0]


@given(st.text(alphabet='ab A.!?。！\n"”) ', max_size=60))
def test_sentences_begin_in_order_inside_the_text_and_not_at_white_space(text: str):
    first, *others = starts = sentence_starts(text)
    assert first == 0
    assert starts == sorted(set(starts))
    assert all(start < len(text) and not text[start].isspace() for start in others)


def test_a_place_is_numbered_by_the_sentence_that_it_stands_in():
    assert sentence_numbers("One. Two. Three.", [0, 3, 5, 9, 10, 15]) == [0, 0, 1, 1, 2, 2]


@pytest.mark.parametrize(
    ("size", "expected"), [(1, [0, 4, 8, 12, 16]), (2, [0, 4, 12]), (3, [0, 8]), (5, [0]), (9, [0])]
)
def test_parts_are_about_as_long_and_never_longer_than_they_may(size: int, expected: list[int]):
    assert part_starts(sentence_starts("Aa. Bb. Cc. Dd. Ee."), size) == expected
