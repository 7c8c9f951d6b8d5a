import torch
from tests.reference.multilabel import classes

from kexue.ops.masking import mask_pairs, pair_mask


def test_pairs_are_kept_where_both_ends_are():
    mask = torch.tensor([[True, True, False, True], [True, False, False, False]])
    for ordered in (False, True):
        assert torch.equal(pair_mask(mask, ordered=ordered), classes(mask, ordered=ordered))


def test_every_head_gets_the_mask_of_its_text():
    mask = torch.tensor([[True, True, True], [True, True, False]])
    scores = mask_pairs(torch.zeros(2, 5, 3, 3), mask, ordered=True)
    assert torch.equal(scores.isfinite(), classes(mask, ordered=True)[:, None].expand(2, 5, 3, 3))
    assert torch.equal(mask_pairs(torch.zeros(2, 3, 3), mask, ordered=True), scores[:, 0])
