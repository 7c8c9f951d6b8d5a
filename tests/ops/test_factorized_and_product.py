"""The two losses that never build heads x length x length, against the dense loss in float64."""

import math

import pytest
import torch
from hypothesis import given, settings
from tests.ops.strategies import Problem, problems
from tests.reference.multilabel import additive_scores, pair_loss, product_scores
from torch.utils._python_dispatch import TorchDispatchMode

from kexue.ops import factorized, product
from kexue.ops.masking import pair_mask
from kexue.ops.multilabel import factorized_multilabel_cross_entropy, product_multilabel_cross_entropy

FORMS = [
    (factorized_multilabel_cross_entropy, additive_scores, Problem.factors),
    (product_multilabel_cross_entropy, product_scores, Problem.query_key),
]
every_form = pytest.mark.parametrize(("loss", "scores", "draw"), FORMS, ids=["factorized", "product"])
quick = settings(max_examples=50, deadline=None)


def both(loss, scores, inputs, problem):
    """Values and gradients of the loss and of its twin in float64, the losses weighted differently."""
    weights = torch.linspace(0.5, 1.5, problem.batch * problem.num_labels).view(problem.batch, -1)
    results = []
    for dtype in (inputs[0].dtype, torch.float64):
        leaves = [x.to(dtype).requires_grad_() for x in inputs]
        if dtype == inputs[0].dtype and not results:
            value = loss(*leaves, problem.positives, problem.mask, problem.ordered)
        else:
            value = pair_loss(scores(*leaves), problem.positives, problem.mask, ordered=problem.ordered)
        results.append((value, torch.autograd.grad((value * weights.to(value.dtype)).sum(), leaves)))
    return results


def assert_agree(loss, scores, inputs, problem):
    """Within the rounding of the scores themselves, which are sums or products of the inputs in float32."""
    (value, gradients), (true_value, true_gradients) = both(loss, scores, inputs, problem)
    torch.testing.assert_close(value.double(), true_value, rtol=1e-6, atol=1e-6 + 1e-7 * problem.scale)
    assert (value >= 0).all()
    gradient, true = (torch.cat([g.flatten().double() for g in gs]) for gs in (gradients, true_gradients))
    assert (gradient - true).norm() <= 1e-5 * true.norm() + 1e-10


@every_form
@quick
@given(problem=problems())
def test_values_and_gradients_are_those_of_the_dense_loss(loss, scores, draw, problem):
    assert_agree(loss, scores, draw(problem), problem)


@quick
@given(problem=problems(scales=(20.0, 60.0)))
def test_nothing_is_lost_where_shared_and_column_cancel(problem):
    """Rows whose product underflows: the shared matrix is what the columns of the first label are not."""
    shared, row, column = problem.factors()
    noise = torch.linspace(0, 3, shared.numel()).view_as(shared)
    inputs = (noise - column[:, :1].expand_as(shared), row / 10, column)
    assert_agree(factorized_multilabel_cross_entropy, additive_scores, inputs, problem)


def test_a_high_positive_does_not_hide_a_row_that_underflows():
    """Row 0 holds a positive at 60 and nothing else of weight; row 1 underflows and is all that is left."""
    shared = torch.tensor([[[60.0, -90.0], [0.0, -120.0]]])
    column, mask = torch.tensor([[[0.0, 110.0]]]), torch.ones(1, 2, dtype=torch.bool)
    inputs = (shared - column, torch.zeros(1, 1, 2), column)
    problem = Problem(1, 1, 2, mask, False, torch.tensor([[0, 0, 0, 0]]), 10.0, 0)
    assert_agree(factorized_multilabel_cross_entropy, additive_scores, inputs, problem)


@quick
@given(problem=problems(scales=(60.0,)))
def test_rows_in_many_chunks_are_the_rows_in_one(problem):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(factorized, "CHUNK", 2 * problem.seq)
        patch.setitem(product.BLOCK, "cpu", 2 * problem.seq)
        for loss, scores, draw in FORMS:
            assert_agree(loss, scores, draw(problem), problem)


@every_form
def test_gradients_are_those_of_finite_differences(loss, scores, draw):
    mask = torch.tensor([[True] * 4, [True, True, True, False]])
    positives = torch.tensor([[0, 1, 2, 3], [0, 1, 2, 2], [1, 0, 0, 1]])
    problem = Problem(2, 2, 4, mask, True, positives, 2.0, 0)
    inputs = [x.double().requires_grad_() for x in draw(problem)]
    assert torch.autograd.gradcheck(lambda *x: loss(*x, positives, mask, True), inputs)


@every_form
def test_scores_of_zero_cost_the_log_of_one_more_than_the_pairs(loss, scores, draw):
    mask, none = torch.ones(1, 128, dtype=torch.bool), torch.empty(0, 4, dtype=torch.long)
    inputs = draw(Problem(1, 2, 128, mask, False, none, 0.0, 0))
    assert loss(*inputs, none, mask)[0].tolist() == pytest.approx([9.7041, 9.7041], abs=1e-4)
    assert loss(*inputs, none, mask, True)[0, 0].item() == pytest.approx(math.log(1 + 128 * 129 / 2), rel=1e-6)


@every_form
def test_a_positive_given_twice_counts_once(loss, scores, draw):
    mask, once = torch.ones(1, 6, dtype=torch.bool), torch.tensor([[0, 0, 1, 2], [0, 1, 3, 3]])
    inputs = draw(Problem(1, 2, 6, mask, False, once, 5.0, 0))
    torch.testing.assert_close(loss(*inputs, once.repeat(3, 1), mask), loss(*inputs, once, mask), rtol=0, atol=0)


@every_form
def test_positives_are_pushed_up_and_negatives_down_at_any_score(loss, scores, draw):
    """Through the scores themselves: their gradient is collected by factors that are zero."""
    for score in (-60.0, -6.0, 0.0, 6.0, 14.0, 20.0, 60.0):
        mask, positives = torch.ones(1, 3, dtype=torch.bool), torch.tensor([[0, 0, 0, 1], [0, 0, 2, 2]])
        if loss is factorized_multilabel_cross_entropy:
            shared = torch.full((1, 3, 3), score, requires_grad=True)
            loss(shared, torch.zeros(1, 1, 3), torch.zeros(1, 1, 3), positives, mask).sum().backward()
            gradient = shared.grad[0]
        else:
            query = (score * torch.eye(3)).view(1, 1, 3, 3) + torch.zeros(1, 1, 3, 3)
            query.requires_grad_()
            loss(query, torch.eye(3).view(1, 1, 3, 3), positives, mask).sum().backward()
            gradient = query.grad[0, 0]
        hot = torch.zeros(3, 3, dtype=torch.bool)
        hot[0, 1] = hot[2, 2] = True
        assert (gradient[hot] <= 0).all()
        assert (gradient[~hot] >= 0).all()
        assert gradient[hot].sum() > -1 - 1e-5
        assert gradient[~hot].sum() < 1 + 1e-5


@every_form
def test_padding_changes_nothing(loss, scores, draw):
    mask, positives = torch.ones(1, 5, dtype=torch.bool), torch.tensor([[0, 1, 1, 3]])
    short = draw(Problem(1, 2, 5, mask, True, positives, 4.0, 0))
    junk = [torch.full((*x.shape[:-1], 3), 50.0) for x in short]
    if loss is factorized_multilabel_cross_entropy:
        shared = torch.full((1, 8, 8), 50.0)
        shared[:, :5, :5] = short[0]
        long = (shared, *(torch.cat((x, j), -1) for x, j in zip(short[1:], junk[1:], strict=True)))
    else:
        long = tuple(torch.cat((x, x[:, :, :3] * 9), 2) for x in short)
    padded = torch.tensor([[True] * 5 + [False] * 3])
    torch.testing.assert_close(loss(*long, positives, padded, True), loss(*short, positives, mask, True))


def test_scores_that_are_no_numbers_at_padding_reach_neither_the_loss_nor_its_gradient():
    mask, positives = torch.tensor([[True, True, True, False]]), torch.tensor([[0, 1, 1, 2]])
    clean = [x.requires_grad_() for x in Problem(1, 2, 4, mask, False, positives, 4.0, 0).factors()]
    kept = (pair_mask(mask), mask[:, None].expand(1, 2, 4), mask[:, None].expand(1, 2, 4))
    for junk in (torch.nan, torch.inf):
        spoilt = [x.detach().where(k, junk).requires_grad_() for x, k in zip(clean, kept, strict=True)]
        values = [factorized_multilabel_cross_entropy(*x, positives, mask) for x in (clean, spoilt)]
        gradients = [torch.autograd.grad(v.sum(), x) for v, x in zip(values, (clean, spoilt), strict=True)]
        assert torch.equal(*values)
        assert all(torch.equal(x, y) for x, y in zip(*gradients, strict=True))


@every_form
@pytest.mark.parametrize(("seq", "kept"), [(1, True), (1, False), (4, False)])
def test_degenerate_texts_have_finite_losses_and_gradients(loss, scores, draw, seq, kept):
    mask = torch.full((2, seq), kept)
    none = torch.empty(0, 4, dtype=torch.long)
    inputs = [x.requires_grad_() for x in draw(Problem(2, 3, seq, mask, True, none, 60.0, 0))]
    value = loss(*inputs, none, mask, True)
    assert value.isfinite().all()
    assert all(gradient.isfinite().all() for gradient in torch.autograd.grad(value.sum(), inputs))
    assert kept or value.eq(0).all()


@every_form
def test_a_head_without_labels_has_no_losses(loss, scores, draw):
    mask, none = torch.ones(2, 3, dtype=torch.bool), torch.empty(0, 4, dtype=torch.long)
    inputs = [x.requires_grad_() for x in draw(Problem(2, 0, 3, mask, False, none, 1.0, 0))]
    value = loss(*inputs, none, mask)
    assert value.shape == (2, 0)
    value.sum().backward()
    assert all(x.grad.eq(0).all() for x in inputs)


@every_form
@pytest.mark.parametrize(
    ("positive", "ordered", "complaint"),
    [
        ([0, 1, 2, 4], False, r"\(0, 1, 2, 4\) lies on padding"),
        ([0, 1, 4, 2], False, r"\(0, 1, 4, 2\) lies on padding"),
        ([0, 1, 2, 1], True, r"\(0, 1, 2, 1\) has start > end"),
        ([0, 2, 1, 1], False, r"\(0, 2, 1, 1\) is outside"),
        ([1, 0, 1, 1], False, r"\(1, 0, 1, 1\) is outside"),
        ([0, 0, -1, 1], False, r"\(0, 0, -1, 1\) is outside"),
        ([0, 0, 1, 5], False, r"\(0, 0, 1, 5\) is outside"),
    ],
)
def test_a_positive_that_is_no_class_is_refused_by_name(loss, scores, draw, positive, ordered, complaint):
    mask = torch.tensor([[True, True, True, True, False]])
    positives = torch.tensor([[0, 0, 0, 0], positive])
    inputs = draw(Problem(1, 2, 5, mask, ordered, positives, 1.0, 0))
    with pytest.raises(ValueError, match=complaint):
        loss(*inputs, positives, mask, ordered)


@every_form
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_inputs_are_computed_in_float32(loss, scores, draw, dtype):
    mask, positives = torch.ones(2, 7, dtype=torch.bool), torch.tensor([[0, 1, 2, 3], [1, 0, 0, 6]])
    problem = Problem(2, 2, 7, mask, False, positives, 20.0, 0)
    halves = [x.to(dtype).requires_grad_() for x in draw(problem)]
    value = loss(*halves, positives, mask)
    assert value.dtype == torch.float32
    true = pair_loss(scores(*(x.detach().double() for x in halves)), positives, mask, ordered=False)
    torch.testing.assert_close(value.double(), true, rtol=1e-6, atol=1e-6)
    assert all(g.dtype == dtype for g in torch.autograd.grad(value.sum(), halves))


@every_form
def test_autocast_changes_no_bit(loss, scores, draw):
    mask, positives = torch.ones(2, 7, dtype=torch.bool), torch.tensor([[0, 1, 2, 3], [1, 0, 0, 6]])
    inputs = [x.requires_grad_() for x in draw(Problem(2, 2, 7, mask, False, positives, 20.0, 0))]
    plain = loss(*inputs, positives, mask)
    plain_gradients = torch.autograd.grad(plain.sum(), inputs)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast = loss(*inputs, positives, mask)
        gradients = torch.autograd.grad(cast.sum(), inputs)
    assert torch.equal(cast, plain)
    assert all(torch.equal(x, y) for x, y in zip(gradients, plain_gradients, strict=True))


class LargestTensor(TorchDispatchMode):
    """Remembers the largest number of elements that any operation returned."""

    def __init__(self):
        super().__init__()
        self.numel = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, tuple | list) else (result,):
            if isinstance(tensor, torch.Tensor):
                self.numel = max(self.numel, tensor.untyped_storage().nbytes() // tensor.element_size())
        return result


@every_form
def test_no_tensor_of_heads_times_length_times_length_is_built(loss, scores, draw, monkeypatch):
    monkeypatch.setitem(product.BLOCK, "cpu", 2**12)
    monkeypatch.setattr(factorized, "CHUNK", 2**12)
    num_labels, seq = 40, 64
    mask, positives = torch.ones(2, seq, dtype=torch.bool), torch.tensor([[0, 3, 2, 3], [1, 5, 0, 6]])
    inputs = [x.requires_grad_() for x in draw(Problem(2, num_labels, seq, mask, False, positives, 60.0, 0))]
    with LargestTensor() as largest:
        loss(*inputs, positives, mask).sum().backward()
    factors = sum(x.numel() for x in inputs)
    assert largest.numel <= max(2 * seq * seq, 2 * num_labels * seq, factors) < 2 * num_labels * seq * seq / 4


@pytest.mark.parametrize(("level", "again"), [(200.0, []), (-10.0, [1])])
def test_a_row_that_underflows_is_computed_again_only_where_it_counts(monkeypatch, level: float, again: list[int]):
    numbers, exact_rows = [], factorized._exact_rows

    def noted(scores, rows, *rest):
        numbers.append(rows.tolist())
        return exact_rows(scores, rows, *rest)

    monkeypatch.setattr(factorized, "_exact_rows", noted)
    shared, column = torch.tensor([[[level, level], [0, -200]]]), torch.tensor([[[-200.0, 0]]])
    none, mask = torch.empty(0, 4, dtype=torch.long), torch.ones(1, 2, dtype=torch.bool)
    loss = factorized_multilabel_cross_entropy(shared, torch.zeros(1, 1, 2), column, none, mask)
    assert numbers == [[], again]
    expected = pair_loss(additive_scores(shared, torch.zeros(1, 1, 2), column).double(), none, mask, ordered=False)
    torch.testing.assert_close(loss.double(), expected)
