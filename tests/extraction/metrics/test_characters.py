"""DuEE's score of arguments on cases that can be counted by hand."""

from __future__ import annotations

import pytest

from kexue.extraction.document import Argument, Document, Event, Span, Unaligned
from kexue.extraction.metrics import evaluate
from kexue.extraction.metrics.characters import character_f1, compare_characters

TEXT = "Nestle fired 4000 men, Nestle said"


def document(*events: tuple[str, dict[str, str]], unaligned: list[Unaligned] | None = None) -> Document:
    def span(surface: str) -> Span:
        return Span(TEXT.index(surface), TEXT.index(surface) + len(surface))

    return Document(
        TEXT,
        events=[Event(kind, tuple(Argument(role, span(s)) for role, s in roles.items())) for kind, roles in events],
        unaligned=unaligned or [],
    )


def test_characters_are_shared_as_often_as_both_have_them():
    assert character_f1("4000 men", "4000") == pytest.approx(2 * 4 / 12)
    assert character_f1("aab", "ab") == pytest.approx(0.8)
    assert character_f1("ab", "cd") == 0.0 and character_f1("ab", "ba") == 1.0


def test_an_argument_is_right_in_part_if_type_and_role_are_right():
    gold = document(("layoff", {"trigger": "fired", "who": "Nestle", "number": "4000 men"}))
    found = document(("layoff", {"trigger": "said", "who": "Nestle", "number": "4000"}), ("hire", {"who": "Nestle"}))
    counts = compare_characters([gold], [found]).counts()
    assert (counts.correct, counts.predicted, counts.gold) == (pytest.approx(1 + 2 * 4 / 12, abs=1e-4), 3, 2)


def test_a_gold_argument_counts_for_the_best_of_those_that_resemble_it():
    gold = document(("layoff", {"number": "4000 men"}))
    found = document(("layoff", {"number": "4000"}), ("layoff", {"number": "4000 men"}))
    counts = compare_characters([gold], [found]).counts()
    assert (counts.correct, counts.predicted, counts.gold) == (1, 2, 1)


def test_the_same_argument_in_two_events_counts_once_and_case_does_not_matter():
    twice = document(("layoff", {"who": "Nestle"}), ("layoff", {"who": "Nestle", "number": "4000"}))
    assert compare_characters([twice], [twice]).counts().gold == 2


def test_gold_without_a_place_stays_in_the_count():
    gold = document(unaligned=[Unaligned("event", "layoff", ("a", "b"), "absent")])
    assert compare_characters([gold], [document()]).counts().gold == 2


def test_an_evaluation_shows_it_beside_the_strict_matchings():
    gold = document(("layoff", {"trigger": "fired", "number": "4000 men"}))
    found = document(("layoff", {"trigger": "fired", "number": "4000"}))
    events = evaluate([gold], [found], bootstrap_samples=20).to_json()["events"]
    assert events["event"]["f1"] == 0.0 and events["argument"]["f1"] == 0.5
    assert events["characters"]["f1"] == pytest.approx(2 * 4 / 12, abs=1e-4)
    assert events["characters"]["interval"] == pytest.approx([2 / 3, 2 / 3], abs=1e-3)
