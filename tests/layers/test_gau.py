"""The gated attention unit against loops over numbers, its invariances, and what archives/8990 says of it."""

from __future__ import annotations

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.reference import gau as reference
from torch.testing import assert_close

from kexue.layers.gau import GatedAttentionUnit
from kexue.ops.attention import ATTENTIONS, Attention, MixedChunk, SquaredReLU, streamed
from kexue.ops.attention.dropout import dropped
from kexue.ops.rotary import turn

on_a_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
SIZE = 3
"""Of the chunks of mixed chunk attention in these tests."""
CHOICES = [(name, causal) for name in ATTENTIONS for causal in (False, True)]


def attention_of(name: str, causal: bool = False) -> Attention:
    return MixedChunk(causal=causal, size=SIZE) if name == "mixed_chunk" else ATTENTIONS[name](causal=causal)


def unit_of(attention: Attention, dim: int = 6, key_dim: int = 4, **choices) -> GatedAttentionUnit:
    torch.manual_seed(0)
    unit = GatedAttentionUnit(dim, key_dim=key_dim, attention=attention, **choices).double()
    torch.nn.init.normal_(unit.scale)
    torch.nn.init.normal_(unit.offset)
    return unit


def naive(unit: GatedAttentionUnit, x: torch.Tensor, name: str, causal: bool) -> torch.Tensor:
    def mix(roles, values):
        if name == "mixed_chunk":
            return reference.mixed_chunk(SIZE, causal, roles, values)
        return reference.attend(getattr(reference, name), causal, *roles, values)

    return reference.gau(x, unit.input.weight, unit.output.weight, unit.scale, unit.offset, mix)


@pytest.mark.parametrize(("name", "causal"), CHOICES)
@settings(deadline=None, max_examples=6)
@given(
    lengths=st.lists(st.integers(1, 11), min_size=1, max_size=3),
    seed=st.integers(0, 1000),
    largest=st.sampled_from([30, 2**20]),
)
@example(lengths=[7], seed=262, largest=2**20)
def test_the_unit_equals_the_loop_over_numbers_whatever_is_padded_or_cut(name, causal, lengths, seed, largest):
    unit = unit_of(attention_of(name, causal))
    x = torch.randn(len(lengths), max(lengths), 6, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(streamed.LARGEST, "cpu", largest)
        out = unit(x, mask)
    for row, length in enumerate(lengths):
        assert_close(out[row, :length], naive(unit, x[row, :length], name, causal))


@pytest.mark.parametrize("each", [False, pytest.param(True, marks=pytest.mark.long)])
@pytest.mark.parametrize(("name", "causal"), CHOICES)
def test_gradients_equal_finite_differences(name, causal, each, monkeypatch):
    """Along a direction through all inputs, and on demand of `each` number by itself."""
    monkeypatch.setitem(streamed.LARGEST, "cpu", 20)
    unit = unit_of(attention_of(name, causal), dim=4, key_dim=2)
    x = torch.randn(2, 7, 4, dtype=torch.float64, requires_grad=True)
    mask = torch.tensor([[True] * 7, [True, True, False, True, False, True, False]])
    names, weights = zip(*unit.named_parameters(), strict=True)

    def run(x, *weights):
        return torch.func.functional_call(unit, dict(zip(names, weights, strict=True)), (x, mask))[mask]

    close = {} if each else {"fast_mode": True, "atol": 1e-8, "rtol": 1e-6}  # looser, small errors pass
    assert torch.autograd.gradcheck(run, (x, *weights), **close)


@pytest.mark.parametrize("name", ATTENTIONS)
def test_gradients_with_dropout_equal_finite_differences(name):
    unit = unit_of(attention_of(name), dim=4, key_dim=2, dropout=0.4)
    x = torch.randn(2, 5, 4, dtype=torch.float64, requires_grad=True)

    def run(x):
        torch.manual_seed(3)
        return unit(x)

    assert torch.autograd.gradcheck(run, (x,))


@pytest.mark.parametrize(("name", "causal"), CHOICES)
def test_a_mask_of_all_tokens_is_no_mask(name, causal):
    unit = unit_of(attention_of(name, causal))
    x = torch.randn(2, 7, 6, dtype=torch.float64)
    assert_close(unit(x), unit(x, torch.ones(2, 7, dtype=torch.bool)))


@pytest.mark.parametrize("name", ATTENTIONS)
@pytest.mark.parametrize("largest", [1, 100])
def test_dropout_chooses_the_same_weights_however_the_matrix_is_cut(name, largest, monkeypatch):
    unit = unit_of(attention_of(name), dropout=0.3)
    x = torch.randn(3, 9, 6, dtype=torch.float64)
    torch.manual_seed(1)
    whole = unit(x)
    monkeypatch.setitem(streamed.LARGEST, "cpu", largest)
    torch.manual_seed(1)
    assert_close(unit(x), whole)


@pytest.mark.parametrize(("name", "causal"), CHOICES)
def test_padding_and_neighbours_in_the_batch_change_nothing(name, causal):
    torch.manual_seed(0)
    unit = GatedAttentionUnit(32, key_dim=16, attention=attention_of(name, causal))
    x = torch.randn(3, 12, 32)
    mask = torch.arange(12) < torch.tensor([7, 12, 1])[:, None]
    x[0, 7:] = 1e3
    together = unit(x, mask)[0, :7]
    assert_close(together, unit(x[:1, :7])[0], atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", ATTENTIONS)
def test_causal_attention_never_looks_ahead(name):
    unit = unit_of(attention_of(name, causal=True))
    x = torch.randn(1, 8, 6, dtype=torch.float64)
    for place in range(1, 8):
        changed = x.clone()
        changed[:, place:] += 1e3
        assert torch.equal(unit(changed)[:, :place], unit(x)[:, :place])


@pytest.mark.parametrize("name", [name for name in ATTENTIONS if name != "mixed_chunk"])
def test_without_positions_the_unit_is_permutation_equivariant(name):
    unit = unit_of(attention_of(name), rotary_base=None)
    x = torch.randn(1, 9, 6, dtype=torch.float64)
    order = torch.randperm(9)
    assert_close(unit(x[:, order]), unit(x)[:, order])


def test_within_one_chunk_mixed_attention_is_permutation_equivariant_too():
    unit = unit_of(MixedChunk(size=9), rotary_base=None)
    x = torch.randn(1, 9, 6, dtype=torch.float64)
    order = torch.randperm(9)
    assert_close(unit(x[:, order]), unit(x)[:, order])


@pytest.mark.parametrize(("name", "causal"), CHOICES)
def test_only_distances_count_so_shifting_a_text_by_a_chunk_changes_nothing(name, causal):
    unit = unit_of(attention_of(name, causal))
    text = torch.randn(1, 5, 6, dtype=torch.float64)
    shifted = torch.cat([torch.zeros(1, SIZE, 6, dtype=torch.float64), text], dim=1)
    mask = torch.tensor([[False] * SIZE + [True] * 5])
    assert_close(unit(shifted, mask)[:, SIZE:], unit(text))


def test_places_in_a_grid_turn_half_the_channels_by_the_row_and_half_by_the_column():
    unit = unit_of(SquaredReLU(), key_dim=8)
    x = torch.randn(1, 6, 6, dtype=torch.float64)
    places = torch.cartesian_prod(torch.arange(2), torch.arange(3))
    order = torch.randperm(6)
    assert_close(unit(x[:, order], places=places[order]), unit(x, places=places)[:, order])
    assert_close(unit(x, places=places + 5), unit(x, places=places))
    assert not torch.allclose(unit(x, places=places), unit(x, places=places.flip(-1)))


@pytest.mark.parametrize(("dim", "expansion", "key_dim"), [(8, 2, 4), (6, 3, 2), (64, 2, 128)])
def test_the_number_of_parameters_is_3de_plus_ds_plus_4s(dim, expansion, key_dim):
    unit = GatedAttentionUnit(dim, expansion=expansion, key_dim=key_dim)
    inner = expansion * dim
    assert sum(p.numel() for p in unit.parameters()) == 3 * dim * inner + dim * key_dim + 4 * key_dim


@pytest.mark.parametrize(("name", "causal"), [choice for choice in CHOICES if choice[0] != "mixed_chunk"])
def test_what_is_computed_again_gives_the_numbers_of_what_is_kept(name, causal):
    lean = unit_of(attention_of(name, causal))
    plain = unit_of(attention_of(name, causal), recompute=False)
    x = torch.randn(2, 9, 6, dtype=torch.float64, requires_grad=True)
    mask = torch.arange(9) < torch.tensor([9, 4])[:, None]
    outs = [unit(x, mask)[mask] for unit in (lean, plain)]
    assert_close(*outs)
    pairs = zip(outs, (lean, plain), strict=True)
    assert_close(*(torch.autograd.grad(out.square().sum(), (x, *unit.parameters())) for out, unit in pairs))


class Identity(Attention):
    def mix(self, vectors, value, mask, dropout):
        return value

    def pull(self, vectors, value, mask, dropout, out, gradient):
        return torch.zeros_like(vectors), gradient


def test_with_the_identity_as_attention_the_unit_is_a_gated_feed_forward_layer():
    unit = unit_of(Identity())
    x = torch.randn(2, 5, 6, dtype=torch.float64, requires_grad=True)
    u, v = torch.nn.functional.silu(x @ unit.input.weight.T)[..., :24].chunk(2, dim=-1)
    plain = (u * v) @ unit.output.weight.T
    assert_close(unit(x), plain)
    wanted = (x, unit.input.weight, unit.output.weight)
    assert_close(torch.autograd.grad(unit(x).sum(), wanted), torch.autograd.grad(plain.sum(), wanted))


def test_where_the_gate_is_one_the_unit_is_plain_attention():
    unit = unit_of(SquaredReLU())
    with torch.no_grad():
        unit.input.weight[:12] = 0
        unit.input.weight[:12, 0] = 1.2784645427610738  # silu of it is 1
    x = torch.randn(1, 5, 6, dtype=torch.float64)
    x[..., 0] = 1
    v = torch.nn.functional.silu(x @ unit.input.weight[12:24].T)
    z = torch.nn.functional.silu(x @ unit.input.weight[24:].T)
    turns = unit.turns(x)
    query, key = (turn(z * scale + offset, turns) for scale, offset in zip(unit.scale, unit.offset, strict=True))
    assert_close(unit(x), unit.attention(query, key) @ v @ unit.output.weight.T)


@pytest.mark.parametrize(("name", "causal"), CHOICES)
def test_a_text_of_padding_alone_gives_finite_numbers_and_gradients(name, causal):
    unit = GatedAttentionUnit(8, key_dim=4, attention=attention_of(name, causal))
    x = torch.randn(1, 3, 8, requires_grad=True)
    unit(x, torch.zeros(1, 3, dtype=torch.bool)).sum().backward()
    assert x.grad.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize(("name", "causal"), CHOICES)
def test_half_precision_stays_near_float32_in_values_and_gradients(name, causal, dtype):
    torch.manual_seed(0)
    unit = GatedAttentionUnit(64, key_dim=32, attention=attention_of(name, causal))
    x = torch.randn(2, 40, 64)
    mask = torch.arange(40) < torch.tensor([40, 23])[:, None]

    def run(unit, x):
        x = x.clone().requires_grad_()
        out = unit(x, mask)[mask]
        return out, *torch.autograd.grad(out.square().mean(), (x, *unit.parameters()))

    exact = run(unit, x)
    rough = run(unit.to(dtype), x.to(dtype))
    for a, b in zip(exact, rough, strict=True):
        assert b.dtype == dtype
        assert (a - b.float()).norm() < 0.05 * a.norm()


@pytest.mark.parametrize("name", ATTENTIONS)
def test_under_autocast_the_products_are_in_half_precision_and_the_weights_gradients_are_not(name):
    unit = GatedAttentionUnit(16, key_dim=8, attention=attention_of(name))
    with torch.autocast("cpu", torch.bfloat16):
        out = unit(torch.randn(2, 9, 16))
    assert out.dtype == torch.bfloat16
    out.sum().backward()
    assert all(weight.grad.dtype == torch.float32 for weight in unit.parameters())


def test_large_products_do_not_overflow_half_precision():
    query = torch.full((1, 512, 128), 20.0, dtype=torch.float16)
    weights = SquaredReLU()(query, query)
    # (128 * 400)^2 is far beyond 65504, (128 * 400)^2 / (512 * 128) is not.
    assert_close(weights.float(), torch.full((1, 512, 512), 40000.0), rtol=5e-3, atol=0)


def test_at_the_start_the_branch_is_as_small_as_simulation_says():
    """By simulation: with LeCun weights and rotary positions rms(O) is 0.0264 at 512 tokens, not the 0.0113 of
    archives/8990; without positions 0.0534."""
    torch.manual_seed(0)
    x = torch.randn(2, 512, 768)
    for base, size in ((10000.0, 0.0264), (None, 0.0534)):
        with torch.no_grad():
            branch = GatedAttentionUnit(768, rotary_base=base)(x)
        assert branch.square().mean().sqrt().item() == pytest.approx(size, rel=0.1)


def test_dropout_acts_in_training_only():
    unit = GatedAttentionUnit(8, key_dim=4, dropout=0.5)
    x = torch.randn(1, 6, 8)
    assert not torch.equal(unit(x), unit(x))
    unit.eval()
    assert torch.equal(unit(x), unit(x))


@pytest.mark.parametrize("name", ATTENTIONS)
def test_nothing_of_the_size_of_the_weights_waits_for_the_backward_pass(name):
    unit = GatedAttentionUnit(8, key_dim=4, attention=ATTENTIONS[name]())
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda x: kept.append(x.numel()) or x, lambda x: x):
        unit(torch.randn(1, 300, 8))
    assert max(kept) < 300 * 300


def test_only_an_attention_map_can_be_kept_whole():
    with pytest.raises(ValueError, match="needs an attention map, not MixedChunk"):
        GatedAttentionUnit(8, attention=MixedChunk(), recompute=False)


@pytest.mark.parametrize("name", ATTENTIONS)
def test_many_gradients_at_once_are_those_one_by_one(name):
    unit, x = unit_of(attention_of(name)), torch.randn(2, 5, 6, dtype=torch.float64, requires_grad=True)
    out, weights = unit(x), torch.randn(3, 2, 5, 6, dtype=torch.float64)
    leaves = (x, *unit.parameters())

    def pulled(weight):
        return torch.autograd.grad(out, leaves, weight, retain_graph=True)

    alone = [torch.stack(each) for each in zip(*map(pulled, weights), strict=True)]
    assert_close(list(torch.func.vmap(pulled)(weights)), alone)


@pytest.mark.parametrize("name", ATTENTIONS)
def test_what_a_compiler_traces_gives_the_same_values_and_gradients(name, monkeypatch):
    unit, x = unit_of(attention_of(name)), torch.randn(2, 5, 6, dtype=torch.float64, requires_grad=True)
    results = []
    for compiling in (False, True):
        monkeypatch.setattr(torch.compiler, "is_compiling", lambda answer=compiling: answer)
        out = unit(x)
        gradients = torch.autograd.grad(out.square().sum(), (x, *unit.parameters()))
        with torch.no_grad():
            results.append([out, unit(x), *gradients])
    assert_close(results[1], results[0])


def passes(unit: GatedAttentionUnit, x: torch.Tensor, mask: torch.Tensor) -> list[torch.Tensor]:
    """What comes out and all gradients, on the CPU, in float32."""
    x = x.detach().requires_grad_()
    out = unit(x, mask)[mask]
    grads = torch.autograd.grad(out.square().mean(), (x, *unit.parameters()))
    return [value.detach().float().cpu() for value in (out, *grads)]


@pytest.mark.gpu
@on_a_gpu
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
@pytest.mark.parametrize(("name", "causal"), CHOICES)
def test_on_a_gpu_values_and_gradients_are_those_of_the_cpu(name, causal, dtype):
    torch.manual_seed(0)
    unit = GatedAttentionUnit(64, key_dim=32, attention=attention_of(name, causal)).double()
    x = torch.randn(3, 50, 64, dtype=torch.float64)
    mask = torch.arange(50) < torch.tensor([50, 23, 1])[:, None]
    expected = passes(unit, x, mask)
    found = passes(unit.to("cuda", dtype), x.to("cuda", dtype), mask.cuda())
    allowed = 1e-9 if dtype == torch.float64 else 0.05
    for a, b in zip(expected, found, strict=True):
        assert (a - b).norm() <= allowed * a.norm()


@pytest.mark.gpu
@on_a_gpu
@pytest.mark.parametrize("name", ATTENTIONS)
def test_on_a_gpu_nothing_waits_for_the_host(name):
    unit = GatedAttentionUnit(32, key_dim=16, attention=ATTENTIONS[name](), dropout=0.1).cuda()
    x = torch.randn(2, 20, 32, device="cuda", requires_grad=True)
    mask = torch.ones(2, 20, dtype=torch.bool, device="cuda")
    unit(x, mask).sum().backward()
    torch.cuda.set_sync_debug_mode("error")
    try:
        with torch.autocast("cuda", torch.bfloat16):
            unit(x, mask).sum().backward()
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.gpu
@on_a_gpu
def test_on_a_gpu_dropout_chooses_as_on_the_cpu():
    seeds = torch.tensor([3, 2**30], dtype=torch.int32)
    assert torch.equal(dropped(seeds, slice(5, 90), 70, 0.3), dropped(seeds.cuda(), slice(5, 90), 70, 0.3).cpu())
