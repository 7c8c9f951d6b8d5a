"""The losses on every device: values and gradients are those of the dense loss in float64 on the CPU."""

from __future__ import annotations

import pytest
import torch
from tests.ops.strategies import Problem
from tests.reference.multilabel import additive_scores, pair_loss, product_scores
from torch.testing import assert_close

from kexue.layers.global_pointer import EfficientGlobalPointer, GlobalPointer
from kexue.ops.multilabel import (
    factorized_multilabel_cross_entropy,
    product_multilabel_cross_entropy,
    sparse_multilabel_cross_entropy,
)

POSITIVES = torch.tensor([[0, 0, 1, 3], [0, 2, 4, 4], [1, 1, 0, 2], [1, 1, 0, 2]])


def problem(*, ordered: bool, scale: float) -> Problem:
    mask = torch.ones(2, 9, dtype=torch.bool)
    mask[1, 6:] = False
    return Problem(2, 3, 9, mask, ordered, POSITIVES, scale, 0)


@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize("scale", [1.0, 60.0])
@pytest.mark.parametrize(
    ("loss", "scores", "draw"),
    [
        (factorized_multilabel_cross_entropy, additive_scores, Problem.factors),
        (product_multilabel_cross_entropy, product_scores, Problem.query_key),
    ],
    ids=["factorized", "product"],
)
def test_a_loss_is_the_same_on_every_device(device, loss, scores, draw, scale, ordered):
    case = problem(ordered=ordered, scale=scale)
    inputs = draw(case)
    here = [x.to(device).requires_grad_() for x in inputs]
    value = loss(*here, POSITIVES.to(device), case.mask.to(device), ordered)
    truth = [x.double().requires_grad_() for x in inputs]
    expected = pair_loss(scores(*truth), POSITIVES, case.mask, ordered=ordered)
    assert_close(value.double().cpu(), expected, rtol=2e-6, atol=1e-6 + 1e-7 * scale)
    for ours, theirs in zip(
        torch.autograd.grad(value.sum(), here), torch.autograd.grad(expected.sum(), truth), strict=True
    ):
        assert (ours.double().cpu() - theirs).norm() <= 2e-5 * theirs.norm() + 1e-10


def test_the_loss_by_index_is_the_same_on_every_device(device):
    scores, positives = torch.linspace(-60, 60, 24).view(4, 6), torch.tensor([[0, -1], [1, 5], [-1, -1], [3, 3]])
    expected = sparse_multilabel_cross_entropy(scores.double(), positives)
    value = sparse_multilabel_cross_entropy(scores.to(device), positives.to(device))
    assert_close(value.double().cpu(), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("scorer", [EfficientGlobalPointer, GlobalPointer])
def test_autocast_leaves_scores_and_loss_in_float32_on_every_device(device, scorer):
    torch.manual_seed(0)
    layer, hidden = scorer(16, 3, 8), torch.randn(2, 9, 16)
    mask = problem(ordered=False, scale=1.0).mask
    plain = layer(hidden).loss(POSITIVES, mask)
    layer.to(device)
    with torch.autocast(device, dtype=torch.bfloat16):
        mixed = layer(hidden.to(device)).loss(POSITIVES.to(device), mask.to(device))
    assert mixed.dtype == torch.float32
    assert_close(mixed.cpu(), plain, rtol=1e-5, atol=1e-5)
