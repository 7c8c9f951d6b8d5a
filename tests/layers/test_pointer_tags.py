"""Spans of half-pointer half-tags against looking at every pair, and against the published rule."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.reference.decoding import nearest_ends, pointer_spans

from kexue.layers.pointer_tags import PointerTagScores, nearest_pairs

FLOORS = st.sampled_from([-3.0, -0.5, 0.0, 0.4])


def drawn(rows: int, seq: int, seed: int) -> torch.Tensor:
    return torch.randn(rows, seq, generator=torch.Generator().manual_seed(seed))


@given(rows=st.integers(1, 4), seq=st.integers(1, 9), floor=FLOORS, seed=st.integers(0, 10**6))
def test_all_spans_above_a_floor_are_found_in_order_with_their_scores(rows: int, seq: int, floor: float, seed: int):
    starts, ends = drawn(rows, seq, seed), drawn(rows, seq, seed + 1)
    places, scores = nearest_pairs(starts, ends, floor, seq)
    found = {tuple(place): float(score) for place, score in zip(places.tolist(), scores.amin(1), strict=True)}
    expected = {
        (row, *pair): pytest.approx(score)
        for row in range(rows)
        for pair, score in pointer_spans(starts[row], ends[row], floor).items()
    }
    assert found == expected
    assert places.tolist() == sorted(places.tolist())


@given(seq=st.integers(1, 12), seed=st.integers(0, 10**6))
def test_at_floor_0_every_start_has_the_nearest_end(seq: int, seed: int):
    starts, ends = drawn(1, seq, seed), drawn(1, seq, seed + 1)
    places, _ = nearest_pairs(starts, ends, 0.0, seq)
    assert {(start, end) for _, start, end in places.tolist()} == nearest_ends(starts[0], ends[0])


@given(seq=st.integers(1, 9), width=st.integers(1, 9), seed=st.integers(0, 10**6))
def test_no_span_is_wider_than_it_may_be(seq: int, width: int, seed: int):
    starts, ends = drawn(2, seq, seed), drawn(2, seq, seed + 1)
    places, _ = nearest_pairs(starts, ends, -1.0, width)
    everything, _ = nearest_pairs(starts, ends, -1.0, seq)
    assert places.tolist() == [place for place in everything.tolist() if place[2] - place[1] < width]


@given(batch=st.integers(1, 3), labels=st.integers(1, 3), seq=st.integers(1, 8), seed=st.integers(0, 10**6))
def test_blocks_and_single_pairs_have_the_scores_of_the_reference(batch: int, labels: int, seq: int, seed: int):
    starts, ends = drawn(batch * labels, seq, seed), drawn(batch * labels, seq, seed + 1)
    scores = PointerTagScores(starts.view(batch, labels, seq), ends.view(batch, labels, seq))
    dense = scores.dense().flatten(0, 1)
    for row in range(batch * labels):
        for (start, end), score in pointer_spans(starts[row], ends[row], -math.inf).items():
            assert float(dense[row, start, end]) == pytest.approx(score)
            assert float(
                scores.block(slice(start, start + 1), slice(start, seq)).flatten(0, 1)[row, 0, end - start]
            ) == (pytest.approx(score))
    start, end = torch.triu_indices(seq, seq)
    torch.testing.assert_close(scores.pairs(batch - 1, start, end), scores.dense()[batch - 1][:, start, end])


def test_a_surer_end_in_between_closes_the_span():
    starts, ends = torch.tensor([[2.0, -9.0, -9.0]]), torch.tensor([[-9.0, 1.0, 3.0]])
    places, scores = nearest_pairs(starts, ends, -2.0, 3)
    assert places.tolist() == [[0, 0, 1], [0, 0, 2]]
    assert scores.tolist() == [[2.0, 1.0], [2.0, -1.0]]
