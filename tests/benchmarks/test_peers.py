"""Whoever is compared computes the same thing: losses and triples of the peers equal ours."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch

from kexue.benchmarks.decoding import our_triples, peer_triples, raise_scores
from kexue.benchmarks.peers.dense import DenseHeads, OwnDenseHeads
from kexue.benchmarks.peers.loops import accepted_spans, decode_by_loops
from kexue.benchmarks.synthetic import Batch, make_batch, make_head, overfit
from kexue.extraction.heads.gplinker import GPLinker
from tests.reference.decoding import all_triples


def bert4torch(head: GPLinker) -> DenseHeads:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it writes invalid escapes and imports what is deprecated
        module = pytest.importorskip("kexue.benchmarks.peers.bert4torch", reason="bert4torch is not installed")
    return module.Bert4torchHeads(head)


PEERS = [OwnDenseHeads, bert4torch]


@pytest.fixture
def batch() -> Batch:
    return make_batch(5, 20, batch_size=3, seed=1)


@pytest.mark.parametrize("make_peer", PEERS)
@pytest.mark.parametrize("efficient", [True, False])
def test_a_peer_has_our_loss_and_its_gradient(make_peer, efficient: bool, batch: Batch):
    torch.manual_seed(0)
    head = make_head(5, efficient=efficient)
    peer = make_peer(head)
    hidden = [batch.hidden.clone().requires_grad_() for _ in range(3)]
    ours = head.loss(hidden[0], batch.mask, batch.targets).mean()
    shapes = [scores.shape for scores in peer(batch.hidden, batch.mask)]
    dense = peer.dense_loss(peer(hidden[1], batch.mask), peer.dense_labels(batch.targets, shapes))
    sparse = peer.sparse_loss(peer(hidden[2], batch.mask), peer.sparse_labels(batch.targets, shapes))
    for loss in (ours, dense, sparse):
        loss.backward()
    torch.testing.assert_close(dense, ours, rtol=1e-5, atol=0)
    torch.testing.assert_close(hidden[1].grad, hidden[0].grad, rtol=1e-3, atol=1e-5)
    # The class (0, 0) is missing from bert4torch's sparse loss: one of 400.
    torch.testing.assert_close(sparse, ours, rtol=5e-3, atol=0)


@pytest.mark.parametrize("make_peer", PEERS)
def test_a_peer_finds_our_triples(make_peer, batch: Batch):
    torch.manual_seed(0)
    head = overfit(make_head(5), batch, steps=40, lr=1e-2)
    ours = our_triples(head, batch)
    assert ours == peer_triples(make_peer(head), batch)
    assert [len(text) for text in ours] == [3, 3, 3]


def test_the_loops_are_exhaustive_search():
    generator = np.random.default_rng(0)
    spans, starts, ends = (generator.normal(size=(heads, 5, 5)).astype(np.float32) for heads in (2, 3, 3))
    spans[:, *np.tril_indices(5, -1)] = -np.inf
    roles = torch.eye(2, dtype=torch.bool).repeat_interleave(3, 0)  # three predicates from subject to object
    expected = all_triples(*map(torch.tensor, (spans, starts, ends)), 5, roles[:3], roles[3:], 0.0)
    assert decode_by_loops((spans, starts, ends)) == {
        (*subject[1:], predicate, *object[1:]) for subject, predicate, object in expected
    }


def test_a_part_of_the_loops_stops_after_so_many_pairs():
    everything = tuple(np.ones((heads, 2, 2), np.float32) for heads in (2, 1, 1))
    subjects, objects = accepted_spans(everything[0])
    assert (len(subjects), len(objects)) == (4, 4)
    assert len(decode_by_loops(everything)) == 16
    assert len(decode_by_loops(everything, max_pairs=3)) == 3


def test_raised_scores_are_all_above_zero(batch: Batch):
    head = raise_scores(make_head(5))
    for scorer in (head.spans, head.starts, head.ends):
        assert bool((scorer(batch.hidden).dense() > 0).all())


def test_a_batch_is_ragged_and_its_triples_lie_inside_its_texts():
    batch = make_batch(7, 40, batch_size=16, num_triples=5, seed=3)
    lengths = batch.mask.sum(1)
    assert int(lengths[0]) == 40
    assert 20 <= int(lengths.min()) < 40
    for links, length in zip(batch.links, lengths.tolist(), strict=True):
        assert len(links.starts) == len(links.ends) == 5
        assert all(start <= end < length for _, start, end in links.spans)


def test_the_parts_of_a_batch_are_the_batch():
    batch = make_batch(3, 10, batch_size=5)
    parts = list(batch.parts(2))
    assert [len(part.links) for part in parts] == [2, 2, 1]
    torch.testing.assert_close(torch.cat([part.hidden for part in parts]), batch.hidden)
