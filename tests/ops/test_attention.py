"""Attention maps and dropout of weights against their definitions."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from kexue.ops.attention import (
    EntropyInvariantSoftmax,
    NormalizedSquaredReLU,
    Softmax,
    SquaredReLU,
    SquaredReLUOverLength,
)
from kexue.ops.attention.dropout import draw_seeds, dropped, split_seeds, thin
from kexue.ops.attention.streamed import blocks
from kexue.ops.rms import rms_norm


def pair(texts: int, seq: int, key_dim: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    query, key = torch.randn(2, texts, seq, key_dim, generator=torch.Generator().manual_seed(0)).unbind()
    return query, key


@pytest.mark.parametrize("attention", [Softmax(), EntropyInvariantSoftmax(), NormalizedSquaredReLU()])
def test_normalised_weights_of_a_text_sum_to_one_and_those_of_padding_are_zero(attention):
    query, key = pair(2, 6)
    mask = torch.arange(6) < torch.tensor([4, 6])[:, None]
    weights = attention(query.abs(), key.abs(), mask)
    assert_close(weights.sum(-1), torch.ones(2, 6))
    assert (weights[0, :, 4:] == 0).all()


@pytest.mark.parametrize("attention", [SquaredReLU(causal=True), Softmax(causal=True)])
def test_weights_of_later_tokens_are_zero(attention):
    assert (attention(*pair(2, 6)).triu(1) == 0).all()


def test_at_its_reference_length_the_entropy_invariant_softmax_is_the_softmax():
    assert_close(EntropyInvariantSoftmax(length=32)(*pair(1, 32)), Softmax()(*pair(1, 32)))


def test_the_two_squared_maps_differ_by_the_factor_s_over_n():
    query, key = pair(1, 10)
    assert_close(SquaredReLUOverLength()(query, key), SquaredReLU()(query, key) * 4 / 10)


def test_a_row_without_a_positive_score_gets_no_weight_at_all():
    key = torch.ones(1, 3, 4)
    assert (NormalizedSquaredReLU()(-key, key) == 0).all()


@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_each_weight_falls_with_the_probability_asked_for(rate):
    torch.manual_seed(0)
    falls = dropped(draw_seeds(4, torch.device("cpu")), slice(0, 500), 700, rate).double()
    assert falls.mean().item() == pytest.approx(rate, abs=0.001)
    for dim in (1, 2):
        share = falls.mean(dim)
        # A share of m independent choices spreads by sqrt(rate (1 - rate) / m).
        expected = (rate * (1 - rate) / falls.shape[dim]) ** 0.5
        assert share.std().item() == pytest.approx(expected, rel=0.1)


def test_neighbouring_rows_columns_and_texts_fall_independently():
    torch.manual_seed(0)
    falls = dropped(draw_seeds(3, torch.device("cpu")), slice(0, 600), 600, 0.5).double() - 0.5
    for shift in range(1, 6):
        for dim in (0, 1, 2):
            agreement = 4 * (falls * falls.roll(shift, dim)).mean().item()
            assert abs(agreement) < (0.005 if shift % 3 or dim else 1.01)


def test_a_text_does_not_repeat_one_of_a_neighbouring_seed_some_rows_later():
    falls = dropped(torch.arange(4, dtype=torch.int32), slice(0, 200), 200, 0.5).double() - 0.5
    for shift in range(-3, 4):
        agreement = 4 * (falls[:-1] * falls[1:].roll(shift, 1)).mean().item()
        assert abs(agreement) < 0.02


def test_weights_that_stay_are_divided_by_the_share_that_stays():
    seeds, weights = torch.tensor([1, 2], dtype=torch.int32), torch.arange(1.0, 71).view(2, 5, 7)
    falls = dropped(seeds, slice(3, 8), 7, 0.2)
    assert_close(thin(weights.clone(), seeds, slice(3, 8), 0.2), torch.where(falls, 0, weights / 0.8))


def test_parts_of_a_text_get_seeds_of_their_own():
    seeds = split_seeds(torch.tensor([1, 2, 3], dtype=torch.int32), 50)
    assert seeds.unique().numel() == 150


@pytest.mark.parametrize(("texts", "seq"), [(1, 1), (5, 7), (3, 2000), (300, 128)])
def test_blocks_cover_every_row_of_every_text_once(texts, seq):
    count = torch.zeros(texts, seq, dtype=torch.long)
    for some, rows in blocks(torch.empty(texts, seq, 1)):
        count[some, rows] += 1
        assert count[some, rows].numel() * seq <= 2**19
    assert (count == 1).all()


def test_rms_norm_equals_its_definition_and_its_gradient_finite_differences():
    x = torch.randn(3, 5, 7, dtype=torch.float64, requires_grad=True)
    assert_close(rms_norm(x, 0.1), x / (x.square().mean(-1, keepdim=True) + 0.1).sqrt())
    assert torch.autograd.gradcheck(lambda x: rms_norm(x, 0.1), (x,))


def test_rms_norm_of_half_precision_is_computed_in_float32_and_keeps_its_dtype():
    x = torch.full((2, 8), 300.0, dtype=torch.float16, requires_grad=True)  # whose square is no float16
    y = rms_norm(x)
    assert y.dtype == torch.float16 and (y == 1).all()
    (gradient,) = torch.autograd.grad(y[:, 0].sum(), x)
    assert gradient.dtype == torch.float16 and gradient.isfinite().all()
