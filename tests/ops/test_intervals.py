"""Largest values of intervals against looking at every value."""

from __future__ import annotations

import math

import torch
from hypothesis import given
from hypothesis import strategies as st

from kexue.ops.intervals import RangeMaximum


@given(seq=st.integers(1, 40), seed=st.integers(0, 1000))
def test_the_largest_value_of_every_interval_is_found(seq: int, seed: int):
    values = torch.randn(2, seq, generator=torch.Generator().manual_seed(seed))
    largest = RangeMaximum(values)
    row, start, stop = torch.cartesian_prod(torch.arange(2), torch.arange(seq), torch.arange(seq + 1)).unbind(1)
    found = largest(row, start, stop)
    expected = [max(values[r, i:j].tolist(), default=-math.inf) for r, i, j in zip(row, start, stop, strict=True)]
    assert found.tolist() == expected


def test_rows_starts_and_stops_broadcast():
    largest = RangeMaximum(torch.tensor([[1.0, 3.0, 2.0], [0.0, -1.0, 5.0]]))
    found = largest(torch.arange(2)[:, None, None], torch.arange(3)[:, None], torch.arange(1, 4))
    assert found.shape == (2, 3, 3)
    assert found[0].tolist() == [[1.0, 3.0, 3.0], [-math.inf, 3.0, 3.0], [-math.inf, -math.inf, 2.0]]
