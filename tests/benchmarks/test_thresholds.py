"""Ways to choose thresholds: each on the part it is given, measured on the other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kexue.benchmarks.thresholds import WAYS, Candidates, _splits, compare, counted, f1, main
from kexue.extraction.decision import Confidence, Judged


def judged(scores: list[float], correct: list[bool], gold: int) -> Judged:
    return Judged(np.array(scores)[:, None], np.zeros(len(scores), dtype=np.int64), np.array(correct), np.array([gold]))


def test_a_split_uses_every_text_once():
    for first, others in _splits(10, 3, 5, seed=0):
        assert len(first) == 3 and sorted([*first, *others]) == list(range(10))


def test_candidates_of_some_texts_are_theirs_with_their_gold():
    candidates = Candidates([judged([1.0, 2.0], [True, False], 3), judged([], [], 1), judged([4.0], [True], 1)])
    some = candidates.of(np.array([2, 1]))
    assert some.scores.tolist() == [[4.0]] and some.correct.tolist() == [True] and some.gold.tolist() == [2]


def test_f1_counts_gold_that_no_candidate_has():
    assert f1(np.array([True, True, False]), judged([1, 1, 1], [True, False, True], 4)) == pytest.approx(100 * 2 / 6)


def test_counting_takes_the_best_point_of_what_it_sees():
    seen = judged([3.0, 2.0, 1.0, -1.0], [True, True, False, False], 2)
    calibration = Confidence.fit(seen.scores, seen.correct)
    assert f1(counted(calibration, seen, seen), seen) == 100


def test_every_way_is_measured_on_the_same_splits_again():
    generator = np.random.default_rng(0)
    texts = [judged(list(generator.normal(1, 2, 4)), list(generator.random(4) < 0.6), 3) for _ in range(30)]
    one, again = (compare(Candidates(texts), 10, 5, seed=1) for _ in range(2))
    assert one.keys() == WAYS.keys() == again.keys()
    for name in WAYS:
        assert one[name].tolist() == again[name].tolist() and len(one[name]) == 5


def test_a_model_is_measured_for_sizes_that_leave_something_over(
    fitted: Path, gold: Path, capsys: pytest.CaptureFixture[str]
):
    main([str(fitted), str(gold), "--sizes", "4", "10", "--splits", "3", "--device", "cpu"])
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith(("| entities", "| relations"))]
    assert [row.split(" | ")[:2] for row in rows] == [["| entities", "4"], ["| relations", "4"]]
