"""The gated attention unit against loops over numbers, its invariances, and what archives/8990 says of it."""

from __future__ import annotations

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.reference import gau as reference
from torch.testing import assert_close

from kexue.layers.gau import (
    ATTENTION_MAPS,
    AttentionMap,
    EntropyInvariantSoftmax,
    GatedAttentionUnit,
    Softmax,
    SquaredReLU,
)

MAPS = [cls() for cls in ATTENTION_MAPS.values()]
NAIVE = {name: getattr(reference, name) for name in ATTENTION_MAPS}


def unit_of(attention: AttentionMap, dim: int = 6, key_dim: int = 4) -> GatedAttentionUnit:
    torch.manual_seed(0)
    unit = GatedAttentionUnit(dim, key_dim=key_dim, attention=attention).double()
    torch.nn.init.normal_(unit.scale)
    torch.nn.init.normal_(unit.offset)
    return unit


def naive(unit: GatedAttentionUnit, x: torch.Tensor, name: str) -> torch.Tensor:
    return reference.gau(x, unit.input.weight, unit.output.weight, unit.scale, unit.offset, normalise=NAIVE[name])


@pytest.mark.parametrize("name", ATTENTION_MAPS)
@settings(deadline=None, max_examples=8)
@given(lengths=st.lists(st.integers(1, 20), min_size=1, max_size=3), seed=st.integers(0, 1000))
@example(lengths=[7], seed=262)
def test_the_unit_equals_the_loop_over_numbers_whatever_is_padded(name, lengths, seed):
    unit = unit_of(ATTENTION_MAPS[name]())
    x = torch.randn(len(lengths), max(lengths), 6, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    out = unit(x, mask)
    for row, length in enumerate(lengths):
        assert_close(out[row, :length], naive(unit, x[row, :length], name))


@pytest.mark.parametrize("attention", MAPS)
def test_gradients_equal_finite_differences(attention):
    unit = unit_of(attention, dim=4, key_dim=2)
    x = torch.randn(2, 4, 4, dtype=torch.float64, requires_grad=True)
    mask = torch.tensor([[True] * 4, [True, True, True, False]])
    assert torch.autograd.gradcheck(lambda x: unit(x, mask)[mask], (x,))


@pytest.mark.parametrize("attention", MAPS)
def test_padding_and_neighbours_in_the_batch_change_nothing(attention):
    torch.manual_seed(0)
    unit = GatedAttentionUnit(32, key_dim=16, attention=attention)
    x = torch.randn(3, 12, 32)
    mask = torch.arange(12) < torch.tensor([7, 12, 1])[:, None]
    x[0, 7:] = 1e3
    together = unit(x, mask)[0, :7]
    assert_close(together, unit(x[:1, :7])[0], atol=1e-6, rtol=0)


@pytest.mark.parametrize("attention", MAPS)
def test_without_positions_the_unit_is_permutation_equivariant(attention, monkeypatch):
    monkeypatch.setattr("kexue.layers.gau.rotary", lambda x, base: x)
    unit = unit_of(attention)
    x = torch.randn(1, 9, 6, dtype=torch.float64)
    order = torch.randperm(9)
    assert_close(unit(x[:, order]), unit(x)[:, order])


@pytest.mark.parametrize("attention", MAPS)
def test_only_distances_count_so_shifting_a_text_changes_no_weight(attention):
    unit = unit_of(attention)
    text = torch.randn(1, 5, 6, dtype=torch.float64)
    shifted = torch.cat([torch.zeros(1, 3, 6, dtype=torch.float64), text], dim=1)
    mask = torch.tensor([[False] * 3 + [True] * 5])
    assert_close(unit(shifted, mask)[:, 3:], unit(text))


@pytest.mark.parametrize(("dim", "expansion", "key_dim"), [(8, 2, 4), (6, 3, 2), (64, 2, 128)])
def test_the_number_of_parameters_is_3de_plus_ds_plus_4s(dim, expansion, key_dim):
    unit = GatedAttentionUnit(dim, expansion=expansion, key_dim=key_dim)
    inner = expansion * dim
    assert sum(p.numel() for p in unit.parameters()) == 3 * dim * inner + dim * key_dim + 4 * key_dim


class Identity(AttentionMap):
    def __call__(self, query, key, mask):
        return torch.eye(query.shape[1], dtype=query.dtype).expand(len(query), -1, -1)


def test_with_the_identity_as_attention_the_unit_is_a_gated_feed_forward_layer():
    unit = unit_of(Identity())
    x = torch.randn(2, 5, 6, dtype=torch.float64)
    u, v = torch.nn.functional.silu(x @ unit.input.weight.T)[..., :24].chunk(2, dim=-1)
    assert_close(unit(x), (u * v) @ unit.output.weight.T)


def test_softmax_weights_of_a_text_sum_to_one_and_those_of_padding_are_zero():
    query, key = torch.randn(2, 2, 6, 4).unbind()
    mask = torch.arange(6) < torch.tensor([4, 6])[:, None]
    for attention in (Softmax(), EntropyInvariantSoftmax()):
        weights = attention(query, key, mask)
        assert_close(weights.sum(-1), torch.ones(2, 6))
        assert (weights[0, :, 4:] == 0).all()
    assert (SquaredReLU()(query, key, mask)[0, :, 4:] == 0).all()


def test_at_its_reference_length_the_entropy_invariant_softmax_is_the_softmax():
    query, key = torch.randn(2, 1, 32, 4).unbind()
    mask = torch.ones(1, 32, dtype=torch.bool)
    assert_close(EntropyInvariantSoftmax(length=32)(query, key, mask), Softmax()(query, key, mask))


@pytest.mark.parametrize("attention", MAPS)
def test_a_text_of_padding_alone_gives_finite_numbers_and_gradients(attention):
    unit = GatedAttentionUnit(8, key_dim=4, attention=attention)
    x = torch.randn(1, 3, 8, requires_grad=True)
    unit(x, torch.zeros(1, 3, dtype=torch.bool)).sum().backward()
    assert x.grad.isfinite().all()


def test_large_products_do_not_overflow_half_precision():
    query = torch.full((1, 512, 128), 20.0, dtype=torch.float16)
    mask = torch.ones(1, 512, dtype=torch.bool)
    weights = SquaredReLU()(query, query, mask)
    # (128 * 400)^2 is far beyond 65504, (128 * 400)^2 / (512 * 128) is not.
    assert_close(weights.float(), torch.full((1, 512, 512), 40000.0), rtol=5e-3, atol=0)


def test_at_the_start_the_branch_is_as_small_as_simulation_says():
    """By simulation: with LeCun weights and rotary positions rms(O) is 0.0264 at 512 tokens, not the 0.0113 of
    archives/8990; without positions 0.0534."""
    torch.manual_seed(0)
    unit = GatedAttentionUnit(768)
    with torch.no_grad():
        branch = unit(torch.randn(2, 512, 768))
    assert branch.square().mean().sqrt().item() == pytest.approx(0.0264, rel=0.1)


def test_dropout_acts_in_training_only():
    unit = GatedAttentionUnit(8, key_dim=4, dropout=0.5)
    x = torch.randn(1, 6, 8)
    assert not torch.equal(unit(x), unit(x))
    unit.eval()
    assert torch.equal(unit(x), unit(x))
