"""The three divergences in float64: what section 3.3 of the methods says of them, and sums written pair by pair."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from kexue.ops.divergence import sigmoid_divergence, softmax_divergence, squared_divergence

quick = settings(max_examples=100, deadline=None)
ALL = (sigmoid_divergence, softmax_divergence, squared_divergence)
every = pytest.mark.parametrize("divergence", ALL, ids=["sigmoid", "softmax", "squared"])


@st.composite
def score_pairs(draw: st.DrawFn, *, limit: float = 40.0) -> tuple[Tensor, Tensor]:
    """Two score vectors, near or far from each other, with ties and corners."""
    classes = draw(st.integers(1, 8))
    score = st.floats(-limit, limit) | st.sampled_from([0.0, -limit, limit])
    s = torch.tensor([draw(score) for _ in range(classes)], dtype=torch.float64)
    distance = draw(st.sampled_from([1e-6, 1.0, limit]))
    t = torch.tensor([draw(st.floats(-distance, distance)) for _ in range(classes)], dtype=torch.float64) + s
    return s, t


def coin_divergence(s: float, t: float) -> float:
    """KL(p | q) + KL(q | p) of two coins; logarithms of probabilities from log1p, so that none is 0."""

    def log_p(x: float) -> float:
        return -math.log1p(math.exp(-x)) if x > -700 else x

    p, q = (math.exp(log_p(x)) for x in (s, t))
    heads = (p - q) * (log_p(s) - log_p(t))
    tails = (math.exp(log_p(-s)) - math.exp(log_p(-t))) * (log_p(-s) - log_p(-t))
    return heads + tails


def gradients(divergence, s: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    leaves = [x.clone().requires_grad_() for x in (s, t)]
    return torch.autograd.grad(divergence(*leaves).sum(), leaves)


@quick
@given(score_pairs())
def test_the_sigmoid_divergence_is_that_of_coins_in_both_directions(pair):
    s, t = pair
    true = sum(coin_divergence(a, b) for a, b in zip(s.tolist(), t.tolist(), strict=True))
    assert sigmoid_divergence(s, t).item() == pytest.approx(true, rel=1e-7, abs=1e-15)


@quick
@given(score_pairs())
def test_the_softmax_divergence_is_that_of_the_distributions_in_both_directions(pair):
    p, q = (x.log_softmax(0) for x in pair)
    kl = [torch.nn.functional.kl_div(a, b, reduction="sum", log_target=True) for a, b in ((p, q), (q, p))]
    assert softmax_divergence(*pair).item() == pytest.approx(sum(kl).item(), rel=1e-9, abs=1e-12)


@every
@quick
@given(pair=score_pairs())
def test_it_is_never_negative_zero_for_equals_and_the_same_both_ways(divergence, pair):
    s, t = pair
    assert divergence(s, t).item() >= (-1e-12 if divergence is softmax_divergence else 0)
    assert divergence(s, s).item() == 0
    torch.testing.assert_close(divergence(s, t), divergence(t, s), rtol=1e-12, atol=1e-15)


@quick
@given(score_pairs())
def test_sigmoids_are_bounded_by_squares_and_by_distances(pair):
    s, t = pair
    value = sigmoid_divergence(s, t).item()
    assert value <= (s - t).square().sum().item() / 4 * (1 + 1e-9) + 1e-300
    assert value <= (s - t).abs().sum().item() * (1 + 1e-9) + 1e-300


@quick
@given(score_pairs())
def test_only_equal_scores_have_no_sigmoid_divergence(pair):
    s, t = pair
    assert (sigmoid_divergence(s, t).item() == 0) == bool(((s - t).square() == 0).all())


@quick
@given(score_pairs(limit=10.0))
def test_a_small_change_counts_by_the_slope_of_the_sigmoid(pair):
    s, direction = pair
    delta = 1e-4 * direction / 20
    true = (s.sigmoid() * (-s).sigmoid() * delta.square()).sum()
    torch.testing.assert_close(sigmoid_divergence(s, s + delta), true, rtol=1e-3, atol=1e-30)


@quick
@given(score_pairs())
def test_the_gradient_is_the_one_of_the_article_and_points_from_the_other_score(pair):
    s, t = pair
    first, second = gradients(sigmoid_divergence, s, t)
    p, q = s.sigmoid(), t.sigmoid()
    gap = torch.where(s + t > 0, (-t).sigmoid() - (-s).sigmoid(), p - q)
    torch.testing.assert_close(first, p * (-s).sigmoid() * (s - t) + gap, rtol=1e-6, atol=1e-14)
    torch.testing.assert_close(second, -(q * (-t).sigmoid() * (s - t) + gap), rtol=1e-6, atol=1e-14)
    assert (first * (s - t) >= 0).all()
    assert (second * (t - s) >= 0).all()


def test_it_is_not_convex():
    s, t = torch.tensor([[-4.0], [-12.0]], dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
    t = t - 2
    middle = sigmoid_divergence(s.mean(0), t)
    assert middle > (sigmoid_divergence(s[0], t) + sigmoid_divergence(s[1], t)) / 2


@quick
@given(score_pairs(limit=20.0), st.floats(1e-3, 10))
def test_softmax_does_not_see_a_common_shift_and_sigmoid_does(pair, shift):
    s, _ = pair
    assert softmax_divergence(s, s + shift).item() == pytest.approx(0, abs=1e-9)
    assert sigmoid_divergence(s, s + shift).item() > 0


def test_a_shift_that_turns_half_of_the_answers_round_is_nothing_to_softmax():
    s = torch.linspace(-5, 0, 1000, dtype=torch.float64)
    turned = ((s + 2.5 > 0) != (s > 0)).double().mean()
    assert turned > 0.45
    assert softmax_divergence(s, s + 2.5).abs() < 1e-12
    assert sigmoid_divergence(s, s + 2.5) > 500


def test_easy_negatives_count_next_to_nothing_and_all_the_same_in_squares():
    s = torch.full((128 * 128,), -20.0, dtype=torch.float64)
    noise = torch.randn(128 * 128, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert sigmoid_divergence(s, s + noise) < 1e-3
    assert squared_divergence(s, s + noise) > 1e4


@pytest.mark.parametrize("score", [-40.0, -17.0, 10.0, 17.0, 40.0])
def test_in_float32_nothing_cancels_at_confident_scores(score):
    s, t = (torch.tensor([x], dtype=torch.float64) for x in (score, score + 0.5))
    true, true_gradients = sigmoid_divergence(s, t), gradients(sigmoid_divergence, s, t)
    value, ours = sigmoid_divergence(s.float(), t.float()), gradients(sigmoid_divergence, s.float(), t.float())
    torch.testing.assert_close(value.double(), true, rtol=1e-5, atol=0)
    for gradient, true_gradient in zip(ours, true_gradients, strict=True):
        torch.testing.assert_close(gradient.double(), true_gradient, rtol=1e-5, atol=0)


# --- masks ---


@every
@quick
@given(pair=score_pairs(), seed=st.integers(0, 1000))
def test_masked_classes_add_nothing_to_value_or_gradient(divergence, pair, seed):
    s, t = pair
    kept = torch.rand(len(s), generator=torch.Generator().manual_seed(seed)) < 0.6
    masked = [x.masked_fill(~kept, -torch.inf) for x in (s, t)]
    value, gradient = divergence(*masked), gradients(divergence, *masked)
    torch.testing.assert_close(value, divergence(s[kept], t[kept]), rtol=1e-9, atol=1e-12)
    for ours, true in zip(gradient, gradients(divergence, s[kept], t[kept]), strict=True):
        torch.testing.assert_close(ours[kept], true, rtol=1e-9, atol=1e-12)
        assert ours[~kept].eq(0).all()


@pytest.mark.parametrize("divergence", [sigmoid_divergence, squared_divergence], ids=["sigmoid", "squared"])
@pytest.mark.parametrize("junk", [torch.nan, torch.inf, -torch.inf])
def test_whatever_stands_where_the_mask_is_false_reaches_nothing(divergence, junk):
    s = torch.tensor([[1.0, 0.0, -2.0], [0.5, 3.0, 1.0]], dtype=torch.float64)
    t, kept = s.flip(0), torch.tensor([True, False, True])
    spoilt = [x.clone().masked_fill(~kept, junk).requires_grad_() for x in (s, t)]
    value = divergence(*spoilt, kept)
    torch.testing.assert_close(value, divergence(s[:, kept], t[:, kept]))
    assert all(g.isfinite().all() and g[:, 1].eq(0).all() for g in torch.autograd.grad(value.sum(), spoilt))


@every
def test_heads_without_classes_agree(divergence):
    nothing = torch.full((2, 3), -torch.inf, dtype=torch.float64, requires_grad=True)
    value = divergence(nothing, nothing.detach())
    assert value.tolist() == [0, 0]
    assert torch.autograd.grad(value.sum(), nothing)[0].eq(0).all()
    assert divergence(torch.zeros(2, 0), torch.zeros(2, 0)).tolist() == [0, 0]


@every
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(divergence, dtype):
    s, t = (torch.linspace(-8, 8, 9).roll(shift).to(dtype) for shift in (0, 2))
    value = divergence(s, t)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value.double(), divergence(s.double(), t.double()), rtol=1e-6, atol=1e-6)


@every
def test_gradients_are_those_of_finite_differences(divergence):
    s, t = (torch.randn(2, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) for seed in (0, 1))
    assert torch.autograd.gradcheck(divergence, (s.requires_grad_(), t.requires_grad_()))
