"""Confidences and thresholds: fitted on candidates whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from kexue.extraction.decision import (
    GRID,
    Confidence,
    CountsAbove,
    Decision,
    Judged,
    best_threshold,
    best_thresholds,
    decide,
    leanings,
    thresholds_for_precision,
)
from kexue.extraction.metrics.calibration_error import expected_calibration_error


def simulated(num: int, weights: tuple[float, float, float], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores of four terms, and outcomes drawn from a known logistic law of their weakest and mean."""
    generator = np.random.default_rng(seed)
    scores = generator.normal(2, 3, (num, 4))
    logit = weights[0] * scores.min(1) + weights[1] * scores.mean(1) + weights[2]
    return scores, generator.random(num) < 1 / (1 + np.exp(-logit))


def judged(confidence: list[float], correct: list[bool], label: list[int], gold: list[int]) -> Judged:
    """Candidates whose uncalibrated confidence is the one given."""
    confidences = np.array(confidence)
    scores = (np.log(confidences) - np.log1p(-confidences))[:, None] / 2
    return Judged(scores, np.array(label), np.array(correct), np.array(gold))


def test_the_default_confidence_is_one_half_where_the_weakest_score_is_zero():
    scores = np.array([[0.0, 5.0, 9.0, 1.0], [1.0, 5.0, 9.0, 1.0], [-1.0, 5.0, 9.0, 1.0]])
    np.testing.assert_allclose(Confidence()(scores), 1 / (1 + np.exp(-2 * np.array([0.0, 1.0, -1.0]))))


def test_fitting_recovers_the_law_that_the_outcomes_were_drawn_from():
    scores, correct = simulated(20_000, (0.7, 0.4, -0.5), seed=0)
    fitted = Confidence.fit(scores, correct)
    assert (fitted.weakest, fitted.mean, fitted.bias) == pytest.approx((0.7, 0.4, -0.5), abs=0.08)


def test_fitting_lowers_the_calibration_error_on_other_data():
    scores, correct = simulated(2_000, (0.4, 0.0, -1.0), seed=1)
    fresh, truth = simulated(5_000, (0.4, 0.0, -1.0), seed=2)
    before = expected_calibration_error(Confidence()(fresh), truth)
    after = expected_calibration_error(Confidence.fit(scores, correct)(fresh), truth)
    assert before > 0.15
    assert after < 0.03


def test_a_better_score_never_lowers_the_confidence():
    scores, correct = simulated(3_000, (1.0, -0.8, 0.0), seed=3)
    fitted = Confidence.fit(scores, correct)
    assert fitted.weakest >= 0
    assert fitted.mean >= 0


@pytest.mark.parametrize("correct", [[], [True] * 4, [False] * 4])
def test_without_both_outcomes_the_default_stays(correct):
    assert Confidence.fit(np.zeros((len(correct), 4)), np.array(correct, dtype=bool)) == Confidence()


def f1(accepted: np.ndarray, correct: np.ndarray, gold: int) -> float:
    return 2 * (accepted & correct).sum() / (accepted.sum() + gold)


@pytest.mark.parametrize(("num", "gold"), [(1, 1), (7, 2), (50, 31), (400, 90), (400, 900)])
def test_what_the_threshold_reports_is_expected_to_have_the_best_f1(num: int, gold: int):
    confidence = np.random.default_rng(num).random(num)
    threshold = best_threshold(confidence, gold)
    surest = sorted(confidence, reverse=True)
    expected = [2 * sum(surest[:k]) / (k + gold) for k in range(1, num + 1)]
    assert threshold == pytest.approx(max(expected) / 2)
    assert (confidence >= threshold).sum() == 1 + int(np.argmax(expected))


def test_with_right_confidences_no_other_threshold_is_better_on_new_data():
    generator = np.random.default_rng(4)
    confidence, fresh = generator.beta(0.5, 1.0, (2, 50_000))
    correct = generator.random(50_000) < fresh
    gold = int(1.2 * correct.sum())
    chosen = f1(fresh >= best_threshold(confidence, 1.2 * confidence.sum()), correct, gold)
    assert chosen > max(f1(fresh >= threshold, correct, gold) for threshold in GRID) - 0.002


def test_a_handful_of_facts_decides_less_than_their_confidences():
    """The point with the best count on these ten facts is 0.9; what is known of the score says otherwise."""
    confidence = [0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.65, 0.6, 0.55, 0.5]
    correct = [True, True, False, False, True, True, False, True, False, True]
    assert best_thresholds(np.array(confidence), judged(confidence, correct, [0] * 10, [7]))[0] < 0.5


def test_a_type_that_is_right_more_often_than_its_confidence_says_has_a_lower_threshold():
    generator = np.random.default_rng(5)
    confidence, label = generator.random(6_000), np.repeat([0, 1, 2], 2_000)
    odds = np.exp(np.array([1.5, 0.0, -1.5]))[label] * confidence / (1 - confidence)
    correct = generator.random(6_000) < odds / (1 + odds)
    data = judged(confidence.tolist(), correct.tolist(), label.tolist(), [900, 1000, 900])
    assert leanings(confidence, data) == pytest.approx([1.5, 0, -1.5], abs=0.2)
    low, middle, high = best_thresholds(confidence, data)
    assert np.log(middle / (1 - middle) * (1 - low) / low) == pytest.approx(1.5, abs=0.25)
    assert np.log(high / (1 - high) * (1 - middle) / middle) == pytest.approx(1.5, abs=0.25)


def test_leanings_are_the_most_probable_shifts():
    """Whose gradient, of the likelihood and of the prior together, is 0."""
    generator = np.random.default_rng(6)
    confidence, correct, label = generator.random(300), generator.random(300) < 0.2, generator.integers(0, 4, 300)
    data = judged(confidence.tolist(), correct.tolist(), label.tolist(), [9] * 5)
    shift = leanings(confidence, data)
    shifted = 1 / (1 + np.exp(-(np.log(confidence / (1 - confidence)) + shift[label])))
    for number in range(5):
        of_type = label == number
        assert (correct[of_type] - shifted[of_type]).sum() == pytest.approx(10 * shift[number], abs=1e-6)
    assert shift[4] == 0  # of which there is no candidate


def test_a_rare_type_has_nearly_the_threshold_of_all():
    confidence = [0.9] * 50 + [0.6] * 50 + [0.3]
    correct = [True] * 45 + [False] * 5 + [True] * 30 + [False] * 20 + [True]
    often, rare, never = best_thresholds(np.array(confidence), judged(confidence, correct, [0] * 100 + [1], [80, 1, 0]))
    assert rare == pytest.approx(often, abs=0.03)
    assert rare < never  # its only candidate was right


def test_a_threshold_for_a_wanted_precision_reaches_it_and_is_the_lowest_that_does():
    confidence = np.linspace(0.02, 0.98, 2_000)
    correct = np.random.default_rng(5).random(2_000) < confidence
    data = judged(confidence.tolist(), correct.tolist(), [0] * 2_000, [1_000])
    chosen = thresholds_for_precision(CountsAbove.of(confidence, data), 0.9)[0]
    assert correct[confidence >= chosen].mean() >= 0.9
    assert correct[confidence >= chosen - 0.02].mean() < 0.9


def test_a_precision_that_is_out_of_reach_takes_the_strictest_threshold():
    confidence = np.array([0.9, 0.95])
    data = judged([0.9, 0.95], [False, False], [0, 0], [2])
    assert thresholds_for_precision(CountsAbove.of(confidence, data), 0.9)[0] == GRID[-1]


@pytest.mark.parametrize("gold", [[0, 0], [3, 2]])
def test_where_no_candidate_is_right_thresholds_stay_in_the_middle(gold):
    """As on a dev set without relations, or with a model that has learnt nothing."""
    confidence = [0.1, 0.4, 0.9]
    data = judged(confidence, [False] * 3, [0, 0, 1], gold)
    assert best_thresholds(np.array(confidence), data).tolist() == [0.5, 0.5]
    decision = decide(data, data, ("p", "q"), floor=-3.0)
    assert (decision.entity_threshold, decision.threshold("p"), decision.threshold("r")) == (0.5, 0.5, 0.5)


def test_without_candidates_or_predicates_the_defaults_decide():
    nothing = Judged(np.zeros((0, 4)), np.zeros(0, dtype=np.int64), np.zeros(0, dtype=bool), np.array([3, 2]))
    assert decide(nothing, nothing, ("p", "q"), floor=-3.0) == Decision(floor=-3.0, thresholds={"p": 0.5, "q": 0.5})
    no_labels = Judged(np.zeros((0, 4)), np.zeros(0, dtype=np.int64), np.zeros(0, dtype=bool), np.zeros(0, np.int64))
    assert decide(no_labels, no_labels, (), floor=-3.0) == Decision(floor=-3.0)


def test_a_decision_survives_its_json():
    scores, correct = simulated(500, (1.0, 0.2, 0.1), seed=6)
    relations = Judged(scores, np.zeros(500, dtype=np.int64), correct, np.array([400]))
    entities = Judged(scores[:, :1], np.zeros(500, dtype=np.int64), correct, np.array([400]))
    decision = decide(entities, relations, ("born in",), floor=-3.0)
    assert Decision.from_json(decision.to_json()) == decision
    assert set(decision.wanted) == {"0.8", "0.85", "0.9", "0.95", "0.99"}
    assert decision.wanted["0.95"]["born in"] >= decision.wanted["0.8"]["born in"]
