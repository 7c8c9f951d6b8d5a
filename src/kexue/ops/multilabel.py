"""Multi-label cross-entropy: every positive class above 0, every negative class below.

    loss = log(1 + sum over positives of exp(-s)) + log(1 + sum over negatives of exp(s))

One loss per head; the threshold is 0. Four forms of the same number, by how scores and labels are given:

    multilabel_cross_entropy             scores, and a boolean for each class
    sparse_multilabel_cross_entropy      scores, and the indices of the positive classes
    factorized_multilabel_cross_entropy  a shared matrix, and a row and a column per label (efficient heads)
    product_multilabel_cross_entropy     a query and a key per label (standard heads)

The last two never build heads x length x length. No form subtracts the positives from a sum over all classes,
as the sparse formula of the article does: that difference cancels once a positive score passes about 9.
Source: Su, kexue.fm/archives/7359 (2020), 8888 (2022).
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from kexue.ops.factorized import factorized_multilabel_cross_entropy
from kexue.ops.logspace import log1p_sum_exp
from kexue.ops.precision import exact_dtype
from kexue.ops.product import product_multilabel_cross_entropy

__all__ = [
    "factorized_multilabel_cross_entropy",
    "multilabel_cross_entropy",
    "product_multilabel_cross_entropy",
    "sparse_multilabel_cross_entropy",
]


def multilabel_cross_entropy(
    scores: Float[Tensor, "*heads classes"], targets: Bool[Tensor, "*heads classes"]
) -> Float[Tensor, "*heads"]:
    """The loss of each head, with a boolean target for each class.

    A score of -inf takes a class out of the negatives. float32 at least. Source: archives/7359.
    """
    scores = scores.to(exact_dtype(scores))
    negatives = log1p_sum_exp(scores.masked_fill(targets, -torch.inf))
    positives = log1p_sum_exp((-scores).masked_fill(~targets, -torch.inf))
    return positives + negatives


def sparse_multilabel_cross_entropy(
    scores: Float[Tensor, "*heads classes"], positives: Int[Tensor, "*heads k"]
) -> Float[Tensor, "*heads"]:
    """The loss of each head, with its positive classes by index.

    Rows of `positives` are padded with -1; an index given twice counts once. The positives are taken out of
    the negatives by writing -inf over them, so nothing cancels. float32 at least. Source: archives/8888.
    """
    scores, positives = scores.to(exact_dtype(scores)), positives.long()
    return _of_positives(scores, positives) + _of_negatives(scores, positives)


def _of_negatives(scores: Tensor, positives: Tensor) -> Tensor:
    """One class of -inf is appended for the padding to overwrite."""
    classes = nn.functional.pad(scores, (0, 1), value=-torch.inf)
    index = positives.masked_fill(positives < 0, scores.shape[-1])
    return log1p_sum_exp(classes.scatter_(-1, index, -torch.inf))


def _of_positives(scores: Tensor, positives: Tensor) -> Tensor:
    """Equal indices are neighbours after sorting, and each but the first is a repetition."""
    index = positives.sort(dim=-1).values
    repeated = nn.functional.pad(index[..., 1:] == index[..., :-1], (min(1, index.shape[-1]), 0), value=False)
    classes = nn.functional.pad(scores, (0, 1)) if scores.shape[-1] == 0 else scores
    chosen = -classes.gather(-1, index.clamp(min=0))
    return log1p_sum_exp(chosen.masked_fill(repeated | (index < 0), -torch.inf))
