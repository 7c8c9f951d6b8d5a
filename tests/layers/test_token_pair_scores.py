import pytest
import torch
from tests.reference.multilabel import additive_scores, product_scores, targets

from kexue.layers import FactorizedScores, ProductScores
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
