"""The multi-label loss of scores that are products per label, without building heads x length x length.

    s_h(i, j) = q_h(i) . k_h(j)

The scores are computed in blocks of rows, each reduced to its logsumexp as it goes by, and computed again in
the backward pass, which adds exp(s - N) to the gradients of q and k. The positives of a block are
overwritten with -inf, so nothing cancels. Source: Su, kexue.fm/archives/8373 (2021) for the scores; Milakov
and Gimelshein 2018, arXiv 1805.02867 for reducing them as they go by.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable

from kexue.ops.logspace import log1p_sum_exp
from kexue.ops.positives import Positives, distinct_positives, positive_term
from kexue.ops.precision import exact_dtype, without_autocast

BLOCK = {"cpu": 2**19, "cuda": 2**24}
"""Scores held at a time: 2 MB of float32, which stays in the cache of a core, or what fills a GPU."""


def product_multilabel_cross_entropy(
    query: Float[Tensor, "batch num_labels seq dim"],
    key: Float[Tensor, "batch num_labels seq dim"],
    positives: Int[Tensor, "n 4"],
    mask: Bool[Tensor, "batch seq"],
    ordered: bool = False,
) -> Float[Tensor, "batch num_labels"]:
    """The loss of each text and label with score(b, h, i, j) = query[b,h,i] . key[b,h,j].

    `positives`, `mask`, `ordered`, the precision and the errors are those of
    `factorized_multilabel_cross_entropy`.
    """
    distinct = distinct_positives(positives, mask, query.shape[1], ordered=ordered)
    dtype = exact_dtype(query, key)
    loss: Tensor = _ProductLoss.apply(  # type: ignore[no-untyped-call]
        query.to(dtype), key.to(dtype), mask, ordered, distinct
    )
    return loss


class _Block(NamedTuple):
    """Some rows of the scores of some texts."""

    texts: slice
    labels: slice
    rows: slice


class _Scores(NamedTuple):
    query: Tensor
    key: Tensor
    mask: Tensor
    ordered: bool
    positives: Positives

    def of_positives(self) -> Tensor:
        b, h, i, j = self.positives
        return (self.query[b, h, i] * self.key[b, h, j]).sum(-1)

    def of_block(self, block: _Block) -> Tensor:
        """Scores [texts, labels, rows, seq], -inf at the positives and at what is no class."""
        texts, labels, rows = block
        scores = self.query[block] @ self.key[texts, labels].mT
        keep = self.mask[texts, rows, None] & self.mask[texts, None]
        if self.ordered:
            keep = keep.triu(rows.start)
        scores.masked_fill_(~keep[:, None], -torch.inf)
        return self._without_positives(scores, block)

    def _without_positives(self, scores: Tensor, block: _Block) -> Tensor:
        *places, j = self.positives
        inside = torch.ones_like(j, dtype=torch.bool)
        for dim, own in enumerate(block):
            places[dim] = places[dim] - own.start
            inside &= (places[dim] >= 0) & (places[dim] < scores.shape[dim])
        taken = torch.where(inside, -torch.inf, 0.0).to(scores.dtype)
        at = [place.clamp(0, size - 1) for place, size in zip(places, scores.shape, strict=False)]
        # Adding 0 for the positives of other blocks needs no synchronisation, as selecting would.
        return scores.index_put_((*at, j), taken, accumulate=True)

    def blocks(self) -> Iterator[_Block]:
        """As many rows as go into a block, then as many labels, then as many texts."""
        batch, num_labels, seq, _ = self.query.shape
        size = BLOCK.get(self.query.device.type, BLOCK["cpu"])
        num_rows = min(seq, max(1, size // seq))
        step = max(1, min(num_labels, size // (num_rows * seq)))
        num_texts = max(1, size // (step * num_rows * seq))
        for text in range(0, batch, num_texts):
            for label in range(0, num_labels, step):
                for row in range(0, seq, num_rows):
                    yield _Block(
                        slice(text, min(text + num_texts, batch)),
                        slice(label, min(label + step, num_labels)),
                        slice(row, min(row + num_rows, seq)),
                    )


class _ProductLoss(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, mask: Tensor, ordered: bool, positives: Positives) -> Tensor:
        scores = _Scores(query, key, mask, ordered, positives)
        negative = _negative_term(scores)
        positive, pulls = positive_term(scores.of_positives(), positives, *query.shape[:2])
        ctx.save_for_backward(query, key, mask, *positives, negative, pulls)
        ctx.ordered = ordered
        return positive + negative

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        query, key, mask, *columns, negative, pulls = ctx.saved_tensors
        scores = _Scores(query, key, mask, ctx.ordered, Positives(*columns))
        query_grad, key_grad = _gradients_of_negatives(scores, negative, grad)
        b, h, i, j = scores.positives
        values = (-pulls * grad[b, h])[:, None]
        query_grad.index_put_((b, h, i), values * key[b, h, j], accumulate=True)
        key_grad.index_put_((b, h, j), values * query[b, h, i], accumulate=True)
        return query_grad, key_grad, None, None, None


def _negative_term(scores: _Scores) -> Tensor:
    """N [batch, num_labels]: log(1 + sum of exp(s)) over the negatives, from the logsumexp of every row."""
    totals = scores.query.new_empty(scores.query.shape[:3])
    with without_autocast(totals):
        for block in scores.blocks():
            totals[block] = scores.of_block(block).logsumexp(-1)
    return log1p_sum_exp(totals)


def _gradients_of_negatives(scores: _Scores, negative: Tensor, grad: Tensor) -> tuple[Tensor, Tensor]:
    query_grad, key_grad = torch.empty_like(scores.query), torch.zeros_like(scores.key)
    with without_autocast(grad):
        for block in scores.blocks():
            at = block.texts, block.labels
            values = scores.of_block(block).sub_(negative[at][..., None, None]).exp_().mul_(grad[at][..., None, None])
            query_grad[block] = values @ scores.key[at]
            key_grad[at] += values.mT @ scores.query[block]
    return query_grad, key_grad
