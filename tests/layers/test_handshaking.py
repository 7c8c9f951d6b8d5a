"""Pair vectors against the published concatenation, and their memory."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from kexue.benchmarks.measuring.memory import peak_bytes
from kexue.layers import handshaking
from kexue.layers.handshaking import Handshaking, HandshakingScores


def concatenated(layer: Handshaking, hidden: torch.Tensor) -> torch.Tensor:
    """tanh(W [h_i; h_j] + b) as published: [batch, seq, seq, dim]."""
    seq = hidden.shape[1]
    first = hidden[:, :, None].expand(-1, -1, seq, -1)
    both = torch.cat((first, first.transpose(1, 2)), -1)
    return torch.tanh(nn.functional.linear(both, torch.cat((layer.row.weight, layer.column.weight), 1), layer.row.bias))


@pytest.mark.parametrize("chunk", [1, 200, 10**6])
def test_the_sum_over_all_pairs_and_its_gradient_are_those_of_the_concatenation(monkeypatch, chunk: int):
    monkeypatch.setattr(handshaking, "CHUNK", chunk)
    torch.manual_seed(0)
    layer, hidden = Handshaking(6).double(), torch.randn(2, 7, 6, dtype=torch.double)
    upper = torch.ones(7, 7, dtype=torch.double).triu()[..., None] * torch.randn(7, 7, 6, dtype=torch.double)

    def ours(states: torch.Tensor) -> torch.Tensor:
        return layer(states).sum_of_rows(lambda h, rows: (h * upper[rows, rows.start :]).sum((1, 2, 3)))

    x, y = hidden.clone().requires_grad_(), hidden.clone().requires_grad_()
    expected = (concatenated(layer, y) * upper).sum((1, 2, 3))
    assert_close(ours(x), expected)
    ours(x).sum().backward()
    expected.sum().backward()
    assert_close(x.grad, y.grad)


@pytest.mark.parametrize("chunk", [1, 200, 10**6])
def test_the_earlier_token_comes_first_whichever_way_round_a_pair_is_asked_for(monkeypatch, chunk: int):
    monkeypatch.setattr(handshaking, "CHUNK", chunk)
    torch.manual_seed(0)
    layer, read, hidden = Handshaking(6), nn.Linear(6, 4), torch.randn(1, 5, 6)
    scores = HandshakingScores(layer(hidden), lambda h: read(h).unflatten(-1, (2, 2)), 2)
    both = read(concatenated(layer, hidden)).unflatten(-1, (2, 2))[0]
    found = scores.at(0, torch.arange(5), torch.arange(5))
    for i in range(5):
        for j in range(5):
            assert_close(found[:, i, j], both[min(i, j), max(i, j), :, int(i > j)])
    assert_close(scores.dense()[0], found)
    starts, ends = torch.cartesian_prod(torch.arange(5), torch.arange(5)).unbind(1)
    assert_close(scores.pairs(torch.zeros_like(starts), starts, ends), found.flatten(1).T)
    assert scores.num_labels == 2


def test_in_several_blocks_no_vectors_of_all_pairs_are_kept(monkeypatch):
    torch.manual_seed(0)
    layer, hidden = Handshaking(32), torch.randn(2, 96, 32)

    def step() -> None:
        layer(hidden.requires_grad_()).sum_of_rows(lambda h, rows: h.square().sum((1, 2, 3))).sum().backward()

    whole = peak_bytes(step)
    monkeypatch.setattr(handshaking, "CHUNK", 2**14)
    assert peak_bytes(step) < whole / 5
