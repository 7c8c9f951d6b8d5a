import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kexue.errors import DataError, OptionError
from kexue.extraction.metrics import brier_score, calibration, expected_calibration_error, reliability_table

predictions = st.lists(st.tuples(st.sampled_from([0.0, 0.2, 0.5, 0.5001, 0.9, 1.0]), st.booleans()), min_size=1)


def test_confidences_that_are_true_have_nearly_no_error_and_doubled_doubts_have_it():
    generator = np.random.default_rng(0)
    truth = generator.uniform(size=200_000)
    correct = generator.uniform(size=200_000) < truth
    assert expected_calibration_error(truth, correct) < 0.01
    # claiming (1 + p) / 2 where p is true is wrong by (1 - p) / 2, which is 1/4 on average
    assert expected_calibration_error((1 + truth) / 2, correct) == pytest.approx(0.25, abs=0.005)


def test_one_bin_compares_the_means():
    assert expected_calibration_error([0.9, 0.7], [True, False], num_bins=1) == pytest.approx(0.3)


def test_two_bins_do_not_let_errors_cancel():
    assert expected_calibration_error([0.4, 0.6], [True, False], num_bins=1) == pytest.approx(0)
    assert expected_calibration_error([0.4, 0.6], [True, False], num_bins=2) == pytest.approx(0.6)


def test_bins_hold_equally_many_where_confidences_differ():
    confidences = np.linspace(0, 1, 100) ** 4
    table = reliability_table(confidences, confidences > 0.5, num_bins=10)
    assert [row.count for row in table] == [10] * 10


@given(predictions, st.integers(1, 20), st.randoms())
def test_the_order_of_the_predictions_does_not_matter(rows, num_bins, random):
    shuffled = random.sample(rows, len(rows))
    one, other = (
        expected_calibration_error(*map(list, zip(*each, strict=True)), num_bins) for each in (rows, shuffled)
    )
    assert one == pytest.approx(other)


@given(predictions, st.integers(1, 20))
def test_the_table_holds_every_prediction_once_and_bins_do_not_overlap(rows, num_bins):
    confidences, correct = map(list, zip(*rows, strict=True))
    table = reliability_table(confidences, correct, num_bins)
    assert sum(row.count for row in table) == len(rows)
    assert len(table) <= num_bins
    assert sum(row.count * row.accuracy for row in table) == pytest.approx(sum(correct))
    assert all(first.high < second.low for first, second in itertools.pairwise(table))
    total = sum(row.count * abs(row.accuracy - row.confidence) for row in table) / len(rows)
    assert expected_calibration_error(confidences, correct, num_bins) == pytest.approx(total)


def test_the_brier_score_is_the_mean_squared_distance():
    assert brier_score([1.0, 0.5, 0.0], [True, True, True]) == pytest.approx((0 + 0.25 + 1) / 3)


def test_both_measures_and_the_table_come_as_json():
    report = calibration([0.25, 0.75], [False, True], num_bins=2).to_json()
    assert report["expected_calibration_error"] == 0.25
    assert report["brier"] == 0.0625
    assert report["bins"][1] == {"low": 0.75, "high": 0.75, "count": 1, "confidence": 0.75, "accuracy": 1}


@pytest.mark.parametrize("confidence", [1.5, -0.1, float("nan")])
def test_a_confidence_outside_0_to_1_is_named(confidence):
    with pytest.raises(DataError, match=f"{confidence} at position 1"):
        expected_calibration_error([0.5, confidence], [True, True])


def test_lists_that_are_empty_or_differ_in_length_are_refused():
    with pytest.raises(DataError, match="equally long"):
        brier_score([0.5], [True, False])
    with pytest.raises(DataError, match="not empty"):
        expected_calibration_error([], [])
    with pytest.raises(OptionError, match="num_bins"):
        expected_calibration_error([0.5], [True], num_bins=0)
