import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.reference.multilabel import class_loss

from kexue.ops.multilabel import multilabel_cross_entropy, sparse_multilabel_cross_entropy

quick = settings(max_examples=80, deadline=None)


@st.composite
def heads(draw):
    """Scores [2, classes] and, for each head, a list of positive classes with repetitions."""
    classes = draw(st.integers(1, 12))
    scale = draw(st.sampled_from([0.0, 0.125, 5.0, 60.0]))
    score = st.floats(-scale, scale, width=32)
    scores = torch.tensor([[draw(score) for _ in range(classes)] for _ in range(2)], dtype=torch.float32)
    chosen = [draw(st.lists(st.integers(0, classes - 1), max_size=8)) for _ in range(2)]
    return scores, chosen


def pad(lists):
    width = max(map(len, lists))
    return torch.tensor([x + [-1] * (width - len(x)) for x in lists], dtype=torch.long).view(len(lists), width)


def hot(lists, classes):
    return torch.tensor([[c in x for c in range(classes)] for x in lists])


def value_and_gradient(loss, scores, *labels):
    scores = scores.clone().requires_grad_()
    value = loss(scores, *labels)
    return value, torch.autograd.grad(value.sum(), scores)[0]


def reference(scores, targets):
    return torch.stack([class_loss(s, t) for s, t in zip(scores, targets, strict=True)])


@quick
@given(heads())
def test_dense_and_sparse_are_the_reference(drawn):
    scores, chosen = drawn
    targets = hot(chosen, scores.shape[-1])
    true, true_gradient = value_and_gradient(reference, scores.double(), targets)
    for value, gradient in (
        value_and_gradient(multilabel_cross_entropy, scores, targets),
        value_and_gradient(sparse_multilabel_cross_entropy, scores, pad(chosen)),
    ):
        torch.testing.assert_close(value.double(), true, rtol=1e-6, atol=1e-6)
        assert (gradient.double() - true_gradient).norm() <= 1e-5 * true_gradient.norm() + 1e-10
        assert (value >= 0).all()
        assert (gradient[targets] <= 0).all()
        assert (gradient[~targets] >= 0).all()


@quick
@given(heads())
def test_the_loss_is_at_most_the_sum_of_binary_cross_entropies(drawn):
    scores, chosen = drawn
    targets = hot(chosen, scores.shape[-1])
    binary = torch.nn.functional.binary_cross_entropy_with_logits(scores, targets.float(), reduction="none")
    assert (multilabel_cross_entropy(scores, targets) <= binary.sum(-1) * (1 + 1e-6) + 1e-6).all()


@quick
@given(heads())
def test_the_gradients_of_either_side_sum_to_less_than_one(drawn):
    scores, chosen = drawn
    targets = hot(chosen, scores.shape[-1])
    _, gradient = value_and_gradient(multilabel_cross_entropy, scores.double(), targets)
    assert (gradient.abs() * targets).sum(-1).max() < 1 + 1e-12
    assert (gradient.abs() * ~targets).sum(-1).max() < 1 + 1e-12


@quick
@given(heads())
def test_it_factors_the_unified_loss_with_a_threshold_class_at_zero(drawn):
    """log(1 + sum_NP e^(n-p) + sum_N e^n + sum_P e^-p), written out over all pairs. archives/7359."""
    scores, chosen = drawn
    scores, targets = scores.double() / 4, hot(chosen, scores.shape[-1])
    for s, t, value in zip(scores, targets, multilabel_cross_entropy(scores, targets), strict=True):
        n, p = s[~t], s[t]
        unified = torch.log1p((n[:, None] - p).exp().sum() + n.exp().sum() + (-p).exp().sum())
        torch.testing.assert_close(value, unified)


def test_scores_of_zero_cost_the_log_of_one_more_than_the_classes():
    classes = 128 * 128
    loss = multilabel_cross_entropy(torch.zeros(100, classes), torch.zeros(100, classes, dtype=torch.bool))
    assert loss[0].item() == pytest.approx(math.log(1 + classes), rel=1e-6)
    assert loss.sum().item() == pytest.approx(970.41, abs=0.01)


def test_a_loss_far_below_the_rounding_of_one_is_not_rounded_to_zero():
    loss = multilabel_cross_entropy(torch.tensor([-25.0]), torch.tensor([False]))
    assert loss.item() == pytest.approx(math.exp(-25), rel=1e-5)


@pytest.mark.parametrize("k", [0, 3])
@pytest.mark.parametrize("classes", [0, 4])
def test_heads_without_positives_or_classes_have_finite_losses(classes, k):
    scores = torch.ones(2, classes)
    value, gradient = value_and_gradient(
        sparse_multilabel_cross_entropy, scores, torch.full((2, k), -1, dtype=torch.long)
    )
    torch.testing.assert_close(value, torch.full((2,), math.log(1 + classes * math.e)))
    assert gradient.isfinite().all()
    torch.testing.assert_close(multilabel_cross_entropy(scores, torch.zeros(2, classes, dtype=torch.bool)), value)


def test_masked_classes_count_nothing():
    scores = torch.tensor([1.0, -torch.inf, 2.0])
    targets = torch.tensor([True, False, False])
    value, gradient = value_and_gradient(multilabel_cross_entropy, scores, targets)
    torch.testing.assert_close(value, multilabel_cross_entropy(scores[[0, 2]], targets[[0, 2]]))
    assert gradient[1] == 0
    assert torch.equal(value_and_gradient(sparse_multilabel_cross_entropy, scores, torch.tensor([0]))[1], gradient)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_scores_are_computed_in_float32(dtype):
    scores = torch.linspace(-8, 20, 9).to(dtype)
    targets = torch.zeros(9, dtype=torch.bool)
    targets[-2:] = True
    value, gradient = value_and_gradient(multilabel_cross_entropy, scores, targets)
    assert value.dtype == torch.float32
    assert gradient.dtype == dtype
    torch.testing.assert_close(value.double(), class_loss(scores.double(), targets), rtol=1e-6, atol=1e-6)


def test_gradients_are_those_of_finite_differences():
    scores = torch.linspace(-2, 3, 8, dtype=torch.float64).view(2, 4).requires_grad_()
    positives = torch.tensor([[1, 1, -1], [0, 3, -1]])
    assert torch.autograd.gradcheck(lambda s: sparse_multilabel_cross_entropy(s, positives), (scores,))
    assert torch.autograd.gradcheck(lambda s: multilabel_cross_entropy(s, hot([[1], [0, 3]], 4)), (scores,))


@pytest.mark.parametrize(
    ("loss", "label"), [(multilabel_cross_entropy, [False, False, True]), (sparse_multilabel_cross_entropy, [2])]
)
def test_a_loss_of_scores_whose_exponentials_overflow_is_the_two_worst_of_them(loss, label):
    value, gradient = value_and_gradient(loss, torch.tensor([3000.0, 1000.0, -2000.0]), torch.tensor(label))
    assert value.item() == 5000
    assert gradient.tolist() == [1, 0, -1]
