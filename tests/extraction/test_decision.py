"""Confidences and thresholds: fitted on candidates whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from kexue.extraction.decision import (
    GRID,
    Calibration,
    Counts,
    Decision,
    Judged,
    best_thresholds,
    decide,
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
    np.testing.assert_allclose(Calibration()(scores), 1 / (1 + np.exp(-2 * np.array([0.0, 1.0, -1.0]))))


def test_fitting_recovers_the_law_that_the_outcomes_were_drawn_from():
    scores, correct = simulated(20_000, (0.7, 0.4, -0.5), seed=0)
    fitted = Calibration.fit(scores, correct)
    assert (fitted.weakest, fitted.mean, fitted.bias) == pytest.approx((0.7, 0.4, -0.5), abs=0.08)


def test_fitting_lowers_the_calibration_error_on_other_data():
    scores, correct = simulated(2_000, (0.4, 0.0, -1.0), seed=1)
    fresh, truth = simulated(5_000, (0.4, 0.0, -1.0), seed=2)
    before = expected_calibration_error(Calibration()(fresh), truth)
    after = expected_calibration_error(Calibration.fit(scores, correct)(fresh), truth)
    assert before > 0.15
    assert after < 0.03


def test_a_better_score_never_lowers_the_confidence():
    scores, correct = simulated(3_000, (1.0, -0.8, 0.0), seed=3)
    fitted = Calibration.fit(scores, correct)
    assert fitted.weakest >= 0
    assert fitted.mean >= 0


@pytest.mark.parametrize("correct", [[], [True] * 4, [False] * 4])
def test_without_both_outcomes_the_default_stays(correct):
    assert Calibration.fit(np.zeros((len(correct), 4)), np.array(correct, dtype=bool)) == Calibration()


def exhaustive_f1(confidence: np.ndarray, correct: np.ndarray, gold: int, threshold: float) -> float:
    kept = confidence >= threshold
    return 2 * (kept & correct).sum() / (kept.sum() + gold)


def test_the_threshold_of_a_large_class_has_the_best_f1_of_all():
    generator = np.random.default_rng(4)
    correct = generator.random(4_000) < 0.5
    confidence = np.clip(np.where(correct, 0.7, 0.45) + generator.normal(0, 0.15, 4_000), 0.02, 0.98)
    data = judged(confidence.tolist(), correct.tolist(), [0] * 4_000, [2_200])
    chosen = best_thresholds(Counts.of(confidence, data))[0]
    best = max(exhaustive_f1(confidence, correct, 2_200, threshold) for threshold in GRID)
    assert exhaustive_f1(confidence, correct, 2_200, chosen) == pytest.approx(best)


def test_a_rare_class_borrows_the_threshold_of_the_pool():
    confidence = [0.9] * 50 + [0.6] * 50 + [0.3]
    correct = [True] * 50 + [False] * 50 + [True]
    chosen = best_thresholds(Counts.of(np.array(confidence), judged(confidence, correct, [0] * 100 + [1], [50, 1])))
    assert 0.6 < chosen[0] <= 0.9
    assert 0.6 < chosen[1] <= 0.9  # by itself it would take 0.3


def test_among_equally_good_thresholds_the_one_nearest_one_half_is_taken():
    confidence = [0.95] * 30 + [0.05] * 30
    chosen = best_thresholds(
        Counts.of(np.array(confidence), judged(confidence, [True] * 30 + [False] * 30, [0] * 60, [30]))
    )
    assert chosen[0] == 0.5


def test_a_threshold_for_a_wanted_precision_reaches_it_and_is_the_lowest_that_does():
    confidence = np.linspace(0.02, 0.98, 2_000)
    correct = np.random.default_rng(5).random(2_000) < confidence
    data = judged(confidence.tolist(), correct.tolist(), [0] * 2_000, [1_000])
    chosen = thresholds_for_precision(Counts.of(confidence, data), 0.9)[0]
    assert correct[confidence >= chosen].mean() >= 0.9
    assert correct[confidence >= chosen - 0.02].mean() < 0.9


def test_a_precision_that_is_out_of_reach_takes_the_strictest_threshold():
    confidence = np.array([0.9, 0.95])
    data = judged([0.9, 0.95], [False, False], [0, 0], [2])
    assert thresholds_for_precision(Counts.of(confidence, data), 0.9)[0] == GRID[-1]


@pytest.mark.parametrize("gold", [[0, 0], [3, 2]])
def test_where_no_candidate_is_right_thresholds_stay_in_the_middle(gold):
    """As on a dev set without relations, or with a model that has learnt nothing."""
    confidence = [0.1, 0.4, 0.9]
    data = judged(confidence, [False] * 3, [0, 0, 1], gold)
    assert best_thresholds(Counts.of(np.array(confidence), data)).tolist() == [0.5, 0.5]
    decision = decide(data, data, ("p", "q"), floor=-3.0)
    assert (decision.entity_threshold, decision.threshold("p"), decision.threshold("r")) == (0.5, 0.5, 0.5)


def test_without_candidates_or_predicates_the_defaults_decide():
    nothing = Judged(np.zeros((0, 4)), np.zeros(0, dtype=np.int64), np.zeros(0, dtype=bool), np.array([3, 2]))
    assert decide(nothing, nothing, ("p", "q"), floor=-3.0) == Decision(floor=-3.0, thresholds={"p": 0.5, "q": 0.5})
    no_labels = Judged(np.zeros((0, 4)), np.zeros(0, dtype=np.int64), np.zeros(0, dtype=bool), np.zeros(0, np.int64))
    assert decide(no_labels, no_labels, (), floor=-3.0) == Decision(floor=-3.0)


def test_a_label_without_gold_or_candidates_takes_the_threshold_of_the_pool():
    confidence, correct = [0.9] * 50 + [0.6] * 50, [True] * 50 + [False] * 50
    chosen = best_thresholds(Counts.of(np.array(confidence), judged(confidence, correct, [0] * 100, [50, 0])))
    assert chosen[0] == chosen[1]


def test_a_decision_survives_its_json():
    scores, correct = simulated(500, (1.0, 0.2, 0.1), seed=6)
    relations = Judged(scores, np.zeros(500, dtype=np.int64), correct, np.array([400]))
    entities = Judged(scores[:, :1], np.zeros(500, dtype=np.int64), correct, np.array([400]))
    decision = decide(entities, relations, ("born in",), floor=-3.0)
    assert Decision.from_json(decision.to_json()) == decision
    assert set(decision.wanted) == {"0.8", "0.85", "0.9", "0.95", "0.99"}
    assert decision.wanted["0.95"]["born in"] >= decision.wanted["0.8"]["born in"]
