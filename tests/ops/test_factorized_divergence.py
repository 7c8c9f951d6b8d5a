"""The streamed divergence of additive scores against sums over all pairs in float64."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.ops.strategies import Problem, problems
from tests.ops.test_factorized_and_product import LargestTensor
from tests.reference.multilabel import additive_scores, classes
from torch import Tensor

from kexue.ops import factorized_divergence
from kexue.ops.factorized_divergence import RELATIVE_ERROR, THRESHOLD, Factors, factorized_sigmoid_divergence

quick = settings(max_examples=50, deadline=None)
NONE = torch.empty(0, 4, dtype=torch.long)


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Small enough that rows are told apart, and that a text has several blocks."""
    monkeypatch.setattr(factorized_divergence, "BLOCK", {"cpu": 8})
    monkeypatch.setattr(factorized_divergence, "ROWS", 2)
    yield


def two_passes(problem: Problem, shift: float, distance: float) -> tuple[Factors, Factors]:
    """Scores near `shift`, and others that lie about `distance` from them."""
    shared, row, column = (x.double() for x in problem.factors())
    generator = torch.Generator().manual_seed(problem.seed + 1)
    first = Factors(shared / 3, row / 3 + shift, column / 3)
    noise = (torch.randn(x.shape, generator=generator, dtype=torch.float64) for x in first)
    return first, Factors(*(x + distance * n for x, n in zip(first, noise, strict=True)))


def pair_by_pair(first: Factors, second: Factors, mask: Tensor, ordered: bool) -> Tensor:
    """[batch, num_labels]: the definition."""
    s, t = (additive_scores(*factors) for factors in (first, second))
    terms = (s.sigmoid() - t.sigmoid()) * (s - t)
    return terms.masked_fill(~classes(mask, ordered=ordered)[:, None], 0).sum((-2, -1))


def values_and_gradients(divergence, passes: tuple[Factors, Factors], problem: Problem) -> tuple[Tensor, list[Tensor]]:
    leaves = [x.clone().requires_grad_() for factors in passes for x in factors]
    value = divergence(Factors(*leaves[:3]), Factors(*leaves[3:]), problem.mask, problem.ordered)
    weights = torch.linspace(0.5, 1.5, value.numel(), dtype=value.dtype, device=value.device).view_as(value)
    return value, list(torch.autograd.grad((value * weights).sum(), leaves))


def assert_agree(passes: tuple[Factors, Factors], problem: Problem, error: float) -> None:
    value, gradients = values_and_gradients(factorized_sigmoid_divergence, passes, problem)
    true_value, true_gradients = values_and_gradients(pair_by_pair, passes, problem)
    torch.testing.assert_close(value, true_value, rtol=error, atol=1e-13)
    for gradient, true_gradient in zip(gradients, true_gradients, strict=True):
        assert (gradient - true_gradient).norm() <= 2 * error * true_gradient.norm() + 1e-13


@quick
@given(problem=problems(scales=(0.0, 0.1, 3.0, 20.0)), distance=st.sampled_from([0.0, 0.1, 2.0]))
def test_in_one_block_it_is_the_sum_over_pairs(problem, distance):
    assert_agree(two_passes(problem, 0.0, distance), problem, 1e-9)


@quick
@given(
    problem=problems(scales=(0.1, 3.0, 20.0, 60.0)),
    shift=st.sampled_from([0.0, -6.0, -10.0, -30.0]),
    distance=st.sampled_from([0.0, 0.1, 2.0]),
)
def test_far_rows_change_it_by_less_than_the_bound(problem, shift, distance):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(factorized_divergence, "BLOCK", {"cpu": 8})
        patch.setattr(factorized_divergence, "ROWS", 2)
        assert_agree(two_passes(problem, shift, distance), problem, RELATIVE_ERROR)


def test_the_bound_is_the_largest_error_of_the_exponential_below_the_threshold():
    x = torch.linspace(-60, THRESHOLD, 100_000, dtype=torch.float64)
    slope = x.sigmoid() * (1 - x.sigmoid())
    worst = ((x.exp() - slope) / slope).abs().max().item()
    assert worst == pytest.approx(RELATIVE_ERROR, rel=1e-6)
    assert RELATIVE_ERROR < 0.014


def test_far_rows_are_not_built(small_blocks: None):
    problem = Problem(2, 3, 6, torch.ones(2, 6, dtype=torch.bool), False, NONE, 1.0, 0)
    first, second = two_passes(problem, -20.0, 0.5)
    first.row[1, 2, 4] = 15.0
    built = []
    with pytest.MonkeyPatch.context() as patch:
        build = factorized_divergence._Block.build
        patch.setattr(factorized_divergence._Block, "build", lambda *args: built.append(args[0]) or build(*args))
        value = factorized_sigmoid_divergence(first, second, problem.mask)
    assert [(block.texts, block.rows, block.labels.tolist()) for block in built] == [
        (slice(1, 2), slice(4, 6), [2]),
        (slice(1, 2), slice(4, 6), [2]),
    ]
    torch.testing.assert_close(value, pair_by_pair(first, second, problem.mask, False), rtol=1e-4, atol=0)


def test_a_far_row_beside_a_near_one_counts_once(small_blocks: None):
    """Scores of -4.9 and -5.3: both rows are in the block of the first, and count alike."""
    rows = torch.tensor([-4.9, -5.3, -20.0, -20.0], dtype=torch.float64).expand(1, 1, 4)
    shared = torch.full((1, 4, 4), -50.0, dtype=torch.float64)
    shared[:, :, 0] = 0
    first = Factors(shared, rows, torch.zeros(1, 1, 4, dtype=torch.float64))
    second = first._replace(row=rows - 0.5)
    mask = torch.ones(1, 4, dtype=torch.bool)
    near = factorized_divergence._near(list(factorized_divergence._blocks(first)), rows.mT)[1]
    assert near[0, :, 0].tolist() == [True, True, False, False]
    value = factorized_sigmoid_divergence(first, second, mask)
    torch.testing.assert_close(value, pair_by_pair(first, second, mask, False), rtol=1e-6, atol=0)


def test_a_row_whose_product_underflows_is_near(small_blocks: None):
    """The largest S and the largest c stand at different ends; of their product float32 keeps nothing."""
    shared = torch.tensor([[[0.0, -200.0], [-300.0, -300.0]]]).expand(2, 2, 2)
    column = torch.tensor([[[-200.0, 0.0]]]).expand(2, 3, 2)
    first = Factors(shared, torch.tensor([[[203.0, 0.0]]]).expand(2, 3, 2), column)
    second = first._replace(row=first.row - 0.5)
    mask = torch.ones(2, 2, dtype=torch.bool)
    assert len(list(factorized_divergence._blocks(first))) == 2
    value = factorized_sigmoid_divergence(first, second, mask)
    exact = (Factors(*(x.double() for x in side)) for side in (first, second))
    torch.testing.assert_close(value.double(), pair_by_pair(*exact, mask, False), rtol=1e-4, atol=0)


def test_passes_that_say_the_same_have_none_and_no_gradient(small_blocks: None):
    problem = Problem(2, 3, 7, torch.ones(2, 7, dtype=torch.bool), True, NONE, 20.0, 0)
    first, _ = two_passes(problem, -6.0, 0.0)
    value, gradients = values_and_gradients(factorized_sigmoid_divergence, (first, first), problem)
    assert value.eq(0).all()
    assert all(gradient.eq(0).all() for gradient in gradients)


@pytest.mark.parametrize("junk", [torch.nan, torch.inf, -torch.inf])
def test_whatever_stands_at_padding_reaches_nothing(small_blocks: None, junk: float):
    mask = torch.tensor([[True, True, True, False, False], [True] * 5])
    problem = Problem(2, 2, 5, mask, False, NONE, 9.0, 0)
    clean = two_passes(problem, -3.0, 0.5)
    kept = (mask[:, :, None] & mask[:, None], mask[:, None].expand(2, 2, 5), mask[:, None].expand(2, 2, 5))
    spoilt = tuple(Factors(*(x.where(k, junk) for x, k in zip(side, kept, strict=True))) for side in clean)
    value, gradients = values_and_gradients(factorized_sigmoid_divergence, clean, problem)
    ours, own = values_and_gradients(factorized_sigmoid_divergence, spoilt, problem)
    assert torch.equal(ours, value)
    assert all(torch.equal(x, y) for x, y in zip(own, gradients, strict=True))


@pytest.mark.parametrize("seq", [1, 4])
def test_texts_without_tokens_have_none(small_blocks: None, seq: int):
    problem = Problem(2, 3, seq, torch.zeros(2, seq, dtype=torch.bool), True, NONE, 60.0, 0)
    value, gradients = values_and_gradients(factorized_sigmoid_divergence, two_passes(problem, 0.0, 1.0), problem)
    assert value.eq(0).all()
    assert all(gradient.eq(0).all() for gradient in gradients)


def test_a_head_without_labels_has_none():
    problem = Problem(2, 0, 3, torch.ones(2, 3, dtype=torch.bool), False, NONE, 1.0, 0)
    value, gradients = values_and_gradients(factorized_sigmoid_divergence, two_passes(problem, 0.0, 1.0), problem)
    assert value.shape == (2, 0)
    assert all(gradient.eq(0).all() for gradient in gradients)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_and_autocast_are_computed_in_float32(small_blocks: None, dtype: torch.dtype):
    problem = Problem(2, 2, 7, torch.ones(2, 7, dtype=torch.bool), False, NONE, 9.0, 0)
    halves = tuple(Factors(*(x.to(dtype) for x in side)) for side in two_passes(problem, -6.0, 1.0))
    exact = tuple(Factors(*(x.double() for x in side)) for side in halves)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = factorized_sigmoid_divergence(*halves, problem.mask)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value.double(), pair_by_pair(*exact, problem.mask, False), rtol=RELATIVE_ERROR, atol=0)


def test_no_tensor_of_heads_times_length_times_length_is_built(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(factorized_divergence, "BLOCK", {"cpu": 2**14})
    problem = Problem(2, 40, 64, torch.ones(2, 64, dtype=torch.bool), False, NONE, 9.0, 0)
    for shift in (0.0, -20.0):
        passes = two_passes(problem, shift, 0.5)
        with LargestTensor() as largest:
            values_and_gradients(factorized_sigmoid_divergence, passes, problem)
        assert largest.numel < 2 * 40 * 64 * 64 / 8


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize(("size", "shift"), [(2**23, 0.0), (2**12, 0.0), (2**12, -12.0)])
def test_on_a_gpu_it_is_what_it_is_on_a_cpu(monkeypatch: pytest.MonkeyPatch, size: int, shift: float):
    monkeypatch.setattr(factorized_divergence, "BLOCK", {"cpu": size, "cuda": size})
    problem = Problem(3, 20, 40, torch.arange(40) < torch.tensor([[40], [25], [1]]), False, NONE, 3.0, 0)
    passes = two_passes(problem, shift, 0.3)
    value, gradients = values_and_gradients(factorized_sigmoid_divergence, passes, problem)
    moved = tuple(Factors(*(x.cuda() for x in side)) for side in passes)
    ours, own = values_and_gradients(factorized_sigmoid_divergence, moved, problem._replace(mask=problem.mask.cuda()))
    torch.testing.assert_close(ours.cpu(), value, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close([x.cpu() for x in own], gradients, rtol=1e-9, atol=1e-12)
