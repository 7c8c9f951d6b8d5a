import time

import numpy as np
import pytest
from tests.reference import metrics as reference

from kexue.extraction.metrics.bootstrap import Bootstrap
from kexue.extraction.metrics.scores import f1_of


def simulated(generator, num_documents):
    """Counts of documents whose quality varies: (correct, predicted, gold), float32[documents, 1, 3]."""
    gold = 1 + generator.poisson(1.5, num_documents)
    quality = generator.beta(4, 2, num_documents)
    correct = generator.binomial(gold, quality)
    predicted = correct + generator.poisson(0.4, num_documents)
    return np.stack([correct, predicted, gold], axis=-1)[:, None].astype(np.float32)


def test_the_interval_covers_the_true_f1_about_95_times_in_a_hundred():
    generator = np.random.default_rng(0)
    (truth,) = f1_of(simulated(generator, 400_000).sum(axis=0, dtype=np.float64))
    covered = 0
    for trial in range(500):
        ((low, high),) = Bootstrap(400, seed=trial).f1_intervals(simulated(generator, 150))
        covered += low <= truth <= high
    assert 0.92 <= covered / 500 <= 0.975  # two standard errors of 500 trials are 0.02


def test_the_interval_is_the_percentiles_of_the_scores_of_the_drawn_documents():
    counts = simulated(np.random.default_rng(1), 30)
    draws = np.random.default_rng(7).integers(30, size=(60, 30))
    expected = reference.percentile_interval(counts[:, 0].tolist(), draws)
    ((low, high),) = Bootstrap(60, seed=7).f1_intervals(counts)
    assert (low, high) == pytest.approx(expected)


def test_one_resample_draws_as_many_documents_as_there_are():
    blocks = list(Bootstrap(50).weights(2000))
    weights = np.concatenate(blocks)
    assert weights.shape == (50, 2000)
    assert (weights.sum(axis=1) == 2000).all()
    assert weights.mean() == 1


def test_many_documents_are_resampled_in_blocks_of_bounded_size():
    blocks = list(Bootstrap(5).weights(3_000_000))
    assert [len(block) for block in blocks] == [1] * 5


def test_the_seed_decides_the_interval():
    counts = simulated(np.random.default_rng(2), 100)
    first, again, other = (Bootstrap(100, seed=seed).f1_intervals(counts) for seed in (1, 1, 2))
    assert first == again != other


def test_more_documents_make_the_interval_narrower():
    generator = np.random.default_rng(3)
    ((low, high),) = Bootstrap(500).f1_intervals(simulated(generator, 50))
    ((lower, upper),) = Bootstrap(500).f1_intervals(simulated(generator, 5000))
    assert 5 < (high - low) / (upper - lower) < 20  # the square root of 100


def test_a_thousand_resamples_of_five_thousand_documents_take_less_than_a_second():
    counts = simulated(np.random.default_rng(4), 5000)
    start = time.process_time()
    Bootstrap(1000).f1_intervals(np.repeat(counts, 60, axis=1))
    assert time.process_time() - start < 2  # 0.3 seconds on an idle core
