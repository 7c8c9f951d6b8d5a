import pytest
import torch
from tests.ops.test_factorized_and_product import LargestTensor
from tests.reference.multilabel import additive_scores, product_scores, targets

from kexue.layers import FactorizedScores, ProductScores, token_pair_scores
from kexue.ops import factorized_divergence
from kexue.ops.divergence import sigmoid_divergence, softmax_divergence, squared_divergence
from kexue.ops.masking import pair_mask
from kexue.ops.multilabel import multilabel_cross_entropy

BATCH, LABELS, SEQ, DIM = 2, 3, 6, 4


def factorized(ordered=False):
    query, key = torch.randn(2, BATCH, SEQ, DIM)
    row, column = torch.randn(2, BATCH, LABELS, SEQ)
    return (
        FactorizedScores(query, key, row, column, ordered=ordered),
        additive_scores(query @ key.mT, row, column),
    )


def products(ordered=False):
    query, key = torch.randn(2, BATCH, LABELS, SEQ, DIM)
    return ProductScores(query, key, ordered=ordered), product_scores(query, key)


kinds = pytest.mark.parametrize("make", [factorized, products])


@kinds
def test_blocks_pairs_and_the_whole_are_the_same_scores(make):
    scores, whole = make()
    assert scores.num_labels == LABELS
    torch.testing.assert_close(scores.dense(), whole)
    torch.testing.assert_close(scores.block(slice(1, 4), slice(2, 6)), whole[:, :, 1:4, 2:6])
    starts, ends = torch.tensor([4, 0, 4]), torch.tensor([5, 1])
    torch.testing.assert_close(scores.at(1, starts, ends), whole[1][:, starts][:, :, ends])
    batch, ends = torch.tensor([1, 0, 0]), torch.tensor([5, 1, 4])
    torch.testing.assert_close(scores.pairs(batch, starts, ends), whole[batch, :, starts, ends])


@kinds
def test_no_chosen_pairs_have_no_scores(make):
    scores, _ = make()
    none = torch.empty(0, dtype=torch.long)
    assert scores.at(0, none, torch.tensor([1, 2])).shape == (LABELS, 0, 2)


@kinds
@pytest.mark.parametrize("ordered", [False, True])
def test_the_loss_is_that_of_the_whole(make, ordered):
    scores, whole = make(ordered)
    mask = torch.tensor([[True] * SEQ, [True] * 4 + [False] * 2])
    positives = torch.tensor([[0, 1, 2, 3], [0, 1, 0, 5], [1, 2, 1, 1]])
    masked = whole.masked_fill(~pair_mask(mask, ordered=ordered)[:, None], -torch.inf)
    true = multilabel_cross_entropy(masked.flatten(2), targets(positives, whole.shape).flatten(2))
    torch.testing.assert_close(scores.loss(positives, mask), true)


@kinds
def test_autocast_changes_no_bit_of_a_score(make):
    scores, _ = make()
    mask, positives = torch.ones(BATCH, SEQ, dtype=torch.bool), torch.tensor([[0, 1, 2, 3]])
    plain = scores.dense(), scores.at(0, torch.arange(2), torch.arange(3)), scores.loss(positives, mask)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast = scores.dense(), scores.at(0, torch.arange(2), torch.arange(3)), scores.loss(positives, mask)
    assert all(torch.equal(x, y) for x, y in zip(plain, cast, strict=True))


# --- divergences of two passes ---

DIVERGENCES = [
    ("sigmoid_divergence", sigmoid_divergence),
    ("softmax_divergence", softmax_divergence),
    ("squared_divergence", squared_divergence),
]
every_divergence = pytest.mark.parametrize(("name", "of_dense"), DIVERGENCES, ids=["sigmoid", "softmax", "squared"])


@pytest.fixture
def small_parts(monkeypatch):
    monkeypatch.setattr(token_pair_scores, "STREAMED", 2 * SEQ * SEQ)
    monkeypatch.setattr(factorized_divergence, "BLOCK", {"cpu": 8})


def gradients(value, *passes):
    weights = torch.linspace(0.5, 1.5, value.numel()).view_as(value)
    leaves = [part for scores in passes for part in vars(scores).values() if isinstance(part, torch.Tensor)]
    return torch.autograd.grad((value * weights).sum(), leaves)


def with_gradients(scores):
    parts = {name: part for name, part in vars(scores).items() if isinstance(part, torch.Tensor)}
    return type(scores)(**{name: part.requires_grad_() for name, part in parts.items()}, ordered=scores.ordered)


@kinds
@every_divergence
@pytest.mark.parametrize("ordered", [False, True])
def test_a_divergence_is_that_of_the_whole_in_value_and_gradient(make, name, of_dense, ordered, small_parts):
    first, second = (with_gradients(make(ordered)[0]) for _ in range(2))
    mask = torch.tensor([[True] * SEQ, [True] * 4 + [False] * 2])
    classes = pair_mask(mask, ordered=ordered)[:, None]
    dense = (scores.dense().masked_fill(~classes, -torch.inf).flatten(2) for scores in (first, second))
    value, true = getattr(first, name)(second, mask), of_dense(*dense)
    torch.testing.assert_close(value, true, rtol=1e-4, atol=1e-5)
    for gradient, true_gradient in zip(gradients(value, first, second), gradients(true, first, second), strict=True):
        torch.testing.assert_close(gradient, true_gradient, rtol=1e-3, atol=1e-5)


@kinds
@every_divergence
def test_no_divergence_keeps_a_matrix_for_each_label(make, name, of_dense, monkeypatch):
    monkeypatch.setattr(token_pair_scores, "STREAMED", 2**12)
    monkeypatch.setattr(factorized_divergence, "BLOCK", {"cpu": 2**12})
    labels, seq, kept = 40, 64, []
    factors = {"query": (2, labels, seq, 4), "key": (2, labels, seq, 4)}
    kind = ProductScores
    if make is factorized:
        kind, factors = FactorizedScores, {"query": (2, seq, 4), "key": (2, seq, 4)}
        factors |= {"row": (2, labels, seq), "column": (2, labels, seq)}
    first, second = (kind(**{part: torch.randn(shape) for part, shape in factors.items()}) for _ in range(2))
    first, second = with_gradients(first), with_gradients(second)
    mask = torch.ones(2, seq, dtype=torch.bool)
    saved = torch.autograd.graph.saved_tensors_hooks(lambda tensor: kept.append(tensor.numel()) or tensor, lambda x: x)
    with LargestTensor() as largest, saved:
        value = getattr(first, name)(second, mask)
    with largest:
        value.sum().backward()
    assert largest.numel < 2 * labels * seq * seq / 8
    assert sum(kept) < 2 * labels * seq * seq / 2


@kinds
def test_chosen_texts_and_labels_are_those_of_the_whole(make):
    scores, whole = make()
    torch.testing.assert_close(scores.of(slice(1, 2), slice(0, 2)).dense(), whole[1:2, :2])
    assert scores.num_texts == BATCH


@kinds
def test_scaled_scores_are_multiples_and_detached_ones_the_same_without_gradient(make):
    scores, whole = make()
    torch.testing.assert_close(scores.scaled(0.5).dense(), whole / 2)
    detached = with_gradients(scores).detached()
    torch.testing.assert_close(detached.dense(), whole)
    assert not detached.dense().requires_grad
