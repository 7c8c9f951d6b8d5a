import math

import pytest
import torch
from tests.reference.multilabel import pair_loss

from kexue.layers import EfficientGlobalPointer, GlobalPointer

heads = pytest.mark.parametrize("kind", [GlobalPointer, EfficientGlobalPointer])


@pytest.mark.parametrize(("kind", "parameters"), [(GlobalPointer, 10_040_064), (EfficientGlobalPointer, 321_612)])
def test_gplinker_with_50_relations_has_the_published_number_of_parameters(kind, parameters):
    with torch.device("meta"):
        modules = [kind(768, num_labels, 64) for num_labels in (2, 50, 50)]
    assert sum(p.numel() for module in modules for p in module.parameters()) == parameters


@heads
def test_weights_start_lecun_normal_and_biases_zero(kind):
    module = kind(400, 30, 32)
    for name, parameter in module.named_parameters():
        if name.endswith("bias"):
            assert parameter.eq(0).all()
        else:
            deviation = parameter.shape[1] ** -0.5
            assert parameter.std().item() == pytest.approx(deviation, rel=0.05)
            assert parameter.abs().max() <= 2.28 * deviation


@heads
@pytest.mark.parametrize("rotary", [False, True])
def test_scores_are_the_formula_of_the_article(kind, rotary):
    """Every score by complex numbers, one pair of tokens at a time."""
    module, hidden = kind(6, 2, 4, rotary=rotary).double(), torch.randn(1, 5, 6, dtype=torch.float64)
    torch.nn.init.normal_(module.project.bias)
    scores = module(hidden).dense()[0]
    projected = module.project(hidden)[0]
    for h in range(2):
        for i in range(5):
            for j in range(5):
                start, end = projected[i], projected[j]
                if kind is GlobalPointer:
                    q, k, extra = start.view(2, 2, 4)[h, 0], end.view(2, 2, 4)[h, 1], 0.0
                else:
                    q, k = start[:4], end[4:]
                    extra = (module.row(start)[h] + module.column(end)[h]) / 2
                expected = turned_product(q, k, j - i if rotary else 0) / 2 + extra
                torch.testing.assert_close(scores[h, i, j], expected)


def turned_product(q, k, distance):
    """q . R_distance k with channel pairs as complex numbers and d = 4."""
    angles = distance * torch.tensor([1.0, 0.01], dtype=torch.float64)
    turn = torch.complex(angles.cos(), angles.sin())
    q, k = (torch.view_as_complex(x.contiguous().view(2, 2)) for x in (q, k))
    return (q.conj() * k * turn).sum().real


@heads
def test_the_same_token_everywhere_scores_by_distance_only(kind):
    scores = kind(6, 2, 4)(torch.randn(1, 1, 6).expand(1, 7, 6)).dense()
    torch.testing.assert_close(scores[..., 1:, 1:], scores[..., :-1, :-1])


def test_two_labels_of_an_efficient_head_differ_by_a_row_and_a_column():
    scores = EfficientGlobalPointer(6, 2, 4)(torch.randn(1, 7, 6)).dense()[0]
    difference = scores[0] - scores[1]
    additive = difference[:, :1] + difference[:1] - difference[0, 0]
    torch.testing.assert_close(difference, additive, rtol=1e-5, atol=1e-5)


@heads
def test_a_fresh_head_on_no_signal_costs_the_log_of_one_more_than_the_pairs(kind):
    mask, none = torch.ones(1, 128, dtype=torch.bool), torch.empty(0, 4, dtype=torch.long)
    hidden = torch.zeros(1, 128, 6)
    assert kind(6, 3, 4)(hidden).loss(none, mask).sum().item() == pytest.approx(3 * 9.7041, abs=1e-3)
    triangle = kind(6, 3, 4, ordered=True)(hidden).loss(none, mask)
    assert triangle[0, 0].item() == pytest.approx(math.log(1 + 128 * 129 / 2), rel=1e-6)


@heads
def test_autocast_and_half_precision_inputs_are_computed_in_float32(kind):
    module, hidden = kind(6, 2, 4), torch.randn(2, 5, 6).bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast = module(hidden).dense()
    assert cast.dtype == torch.float32
    assert torch.equal(cast, module(hidden.float()).dense())
    assert kind(6, 2, 4).bfloat16()(hidden).dense().dtype == torch.float32


@heads
def test_gradients_reach_every_parameter_and_the_hidden_states(kind):
    module, hidden = kind(6, 2, 4, ordered=True).double(), torch.randn(2, 5, 6, dtype=torch.float64)
    mask = torch.tensor([[True] * 5, [True] * 3 + [False] * 2])
    positives = torch.tensor([[0, 0, 1, 3], [1, 1, 2, 2]])
    hidden.requires_grad_()
    leaves = [hidden, *module.parameters()]
    fast = torch.autograd.grad(module(hidden).loss(positives, mask).sum(), leaves)
    slow = torch.autograd.grad(pair_loss(module(hidden).dense(), positives, mask, ordered=True).sum(), leaves)
    for x, y in zip(fast, slow, strict=True):
        torch.testing.assert_close(x, y)
