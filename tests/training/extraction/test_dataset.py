"""Batches of like length in an order that depends on seed and epoch alone."""

from __future__ import annotations

from itertools import chain

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kexue.training.extraction.dataset import POOL, LengthGroupedSampler
from kexue.training.extraction.packing import Packing

lengths = st.lists(st.integers(0, 300), max_size=300)
sizes = st.integers(1, 9)


def order(lengths: list[int], batch_size: int, seed: int, epoch: int) -> list[int]:
    return list(chain.from_iterable(texts(lengths, batch_size, seed, epoch, packing=0.0)))


def texts(lengths: list[int], batch_size: int, seed: int, epoch: int, packing: float) -> list[tuple[int, ...]]:
    sampler = sampler_of(lengths, batch_size, seed, packing)
    sampler.set_epoch(epoch)
    return list(sampler)


def sampler_of(lengths: list[int], batch_size: int, seed: int, packing: float) -> LengthGroupedSampler:
    own = Packing(lengths, share=packing, window=254, seed=seed)
    return LengthGroupedSampler(lengths, own, batch_size, seed)


@given(lengths, sizes, st.integers(0, 2**32 - 1), st.integers(0, 100), st.sampled_from([0.0, 0.5, 1.0]))
def test_every_document_comes_once_an_epoch(lengths: list[int], batch_size: int, seed: int, epoch: int, packing: float):
    sampler = sampler_of(lengths, batch_size, seed, packing)
    sampler.set_epoch(epoch)
    found = list(sampler)
    assert sorted(chain.from_iterable(found)) == list(range(len(lengths)))
    assert len(sampler) == len(found)


@given(lengths, sizes, st.integers(0, 9))
def test_the_order_does_not_depend_on_what_was_drawn_before(lengths: list[int], batch_size: int, epoch: int):
    used = sampler_of(lengths, batch_size, 1, 0.5)
    list(used)
    torch.manual_seed(7)
    used.set_epoch(epoch)
    assert list(used) == list(used) == texts(lengths, batch_size, 1, epoch, 0.5)


def test_epochs_and_seeds_have_orders_of_their_own():
    lengths = np.random.default_rng(0).integers(1, 200, 1000).tolist()
    orders = [order(lengths, 8, seed, epoch) for seed, epoch in ((0, 0), (0, 1), (1, 0))]
    assert orders[0] != orders[1] != orders[2] != orders[0]


def test_a_batch_holds_documents_of_like_length():
    lengths = np.random.default_rng(0).integers(1, 200, 8 * POOL).tolist()
    batches = np.array(lengths)[order(lengths, 8, 0, 0)].reshape(POOL, 8)
    ranges = batches.max(1) - batches.min(1)
    assert ranges.mean() < 200 / POOL * 2


def test_long_and_short_batches_are_mixed():
    lengths = np.random.default_rng(0).integers(1, 200, 8 * POOL).tolist()
    longest = np.array(lengths)[order(lengths, 8, 0, 0)].reshape(POOL, 8).max(1)
    assert abs(np.corrcoef(longest, np.arange(POOL))[0, 1]) < 0.5


@pytest.mark.parametrize("count", [1, 7, 8, 9, 1000, 1003])
def test_only_the_last_batch_is_short(count: int):
    lengths = [5] * (count - 1) + [500]
    found = order(lengths, 8, 3, 2)
    assert len(found) == count  # full batches first: any cut at multiples of 8 falls between groups of like length
