"""A verdict names a difference only where the seeds can show one."""

from __future__ import annotations

import pytest

from kexue.studies.distributions.verdict import describe_accuracies, differing

SAMPLES = {"softmax": [0.90, 0.91, 0.92], "twin": [0.90, 0.91, 0.92], "worse": [0.70, 0.71, 0.72]}


def test_a_difference_of_twenty_standard_deviations_is_named_and_none_between_twins():
    assert differing(SAMPLES, "softmax") == ["worse"]
    assert differing(SAMPLES, "worse") == ["softmax", "twin"]


def test_a_difference_within_the_spread_is_chance():
    assert differing({"softmax": [0.90, 0.92, 0.91], "other": [0.91, 0.93, 0.92]}, "softmax") == []


@pytest.mark.parametrize("samples", [{"softmax": [0.9], "other": [0.1]}, {"softmax": [0.9] * 3, "other": [0.1] * 3}])
def test_without_a_spread_nothing_is_claimed(samples: dict[str, list[float]]):
    assert differing(samples, "softmax") == []


def test_the_sentence_names_best_worst_and_who_differs():
    sentence = describe_accuracies("toys", SAMPLES)
    assert sentence.startswith("toys: softmax is best with 91.0 %, worse worst with 71.0 %; softmax has 91.0 %.")
    assert "differ by 1.00 points" in sentence and sentence.endswith("worse worse than softmax.")
    assert "One seed" in describe_accuracies("toys", {"softmax": [0.9], "other": [0.1]})
