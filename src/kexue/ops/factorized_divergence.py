"""The sigmoid divergence of additive scores, without building heads x length x length.

    s_h(i, j) = S_ij + a_hi + c_hj      D_h = sum over pairs of (sigmoid(s) - sigmoid(t)) (s - t)

The sigmoid of a sum is no product, so unlike the loss (`kexue.ops.factorized`) this sum cannot be had from matrix
products alone. But nearly all pairs are confident negatives, where the sigmoid is a short series of products:

    sigmoid(s) = e^s - e^2s + ...
    sum over j of e^ks (s - t) = e^ka ([e^kS dS, e^kS] [e^kc; e^kc dc] + da e^kS e^kc),      dS = S - S', ...

A row (h, i) is far if neither pass has a score above `THRESHOLD` in it, which e^S e^c bounds; far rows are summed by
`ORDER` terms of the series, to a relative error of `RELATIVE_ERROR` at most: each pair errs by that share of its own
term, and no term is negative. Near rows are summed pair by pair, in blocks that are built again in the backward pass,
with the gradient sigmoid'(s) (s - t) + sigmoid(s) - sigmoid(t).

A model that is not yet trained has only near rows, a trained one a few in a hundred.
Derived from Su, kexue.fm/archives/9039 (the divergence) and 8877 (the scores), 2022.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from kexue.ops.masking import pair_mask
from kexue.ops.precision import exact_dtype, without_autocast

ORDER = 2
"""Terms of the series."""
THRESHOLD = -5.0
"""The largest score of a far row."""
RELATIVE_ERROR = (ORDER + 1) * math.exp(ORDER * THRESHOLD) * (1 + math.exp(THRESHOLD)) ** 2
"""The slope of the cut series errs by (K + 1) e^(K + 1)x at most, where that of the sigmoid is e^x / (1 + e^x)^2."""
BLOCK = {"cpu": 2**18, "cuda": 2**23}
"""Scores built at a time: they stay in the cache of a core, or fill a GPU."""
ROWS = 8
"""The fewest rows in a block."""
SMALLEST = 1e-9
"""A product below it may have lost digits to underflow; it is counted as this, which can only make a row near."""
ABSENT = -1e30
"""Added to pairs that are no classes, in both passes: their sigmoids, differences and slopes are exactly 0."""


class Factors(NamedTuple):
    """score(b, h, i, j) = shared[b,i,j] + row[b,h,i] + column[b,h,j]."""

    shared: Float[Tensor, "batch seq seq"]
    row: Float[Tensor, "batch num_labels seq"]
    column: Float[Tensor, "batch num_labels seq"]


def factorized_sigmoid_divergence(
    scores: Factors, other: Factors, mask: Bool[Tensor, "batch seq"], ordered: bool = False
) -> Float[Tensor, "batch num_labels"]:
    """The divergence of each text and label, over the pairs of kept tokens; if `ordered`, of start <= end only.

    float32 at least, also under autocast; exact but for `RELATIVE_ERROR`.
    """
    with without_autocast(mask):
        first, second = (_kept(factors, mask, ordered) for factors in (scores, other))
        blocks = list(_blocks(first))
        if len(blocks) == 1:
            return _of_pairs(first, second, blocks)
        sides = _Side.of(first, second, mask), _Side.of(second, first, mask)
        blocks, near = _near(blocks, sides)
        return _of_pairs(first, second, blocks) + sides[0].moment(near) + sides[1].moment(near)


def _kept(factors: Factors, mask: Tensor, ordered: bool) -> Factors:
    """The factors in float32 at least, `ABSENT` at pairs that are no classes and 0 at padding, whatever was there."""
    dtype = exact_dtype(*factors)
    padding = ~mask[:, None]
    return Factors(
        factors.shared.to(dtype).masked_fill(~pair_mask(mask, ordered=ordered), ABSENT),
        factors.row.to(dtype).masked_fill(padding, 0),
        factors.column.to(dtype).masked_fill(padding, 0),
    )


# --- near rows: pair by pair ---


class _Block(NamedTuple):
    """Some rows of some texts, and the labels to look at: long[n], or all."""

    texts: slice
    rows: slice
    labels: Tensor | slice

    def build(self, factors: Factors) -> Tensor:
        """Its scores [texts, labels, rows, seq]."""
        shared, row, column = factors
        scores = shared[self.texts, None, self.rows] + row[self.texts, self.labels, self.rows, None]
        return scores.add_(column[self.texts, self.labels, None])


def _blocks(factors: Factors) -> Iterator[_Block]:
    """All rows of all texts: of the whole batch where it fits, else of some texts, else some rows of one."""
    batch, num_labels, seq = factors.row.shape
    size = BLOCK.get(factors.row.device.type, BLOCK["cpu"])
    texts = min(batch, max(1, size // max(1, num_labels * seq * seq)))
    rows = min(seq, max(ROWS, size // max(1, num_labels * seq)))
    for text in range(0, batch, max(1, texts)):
        for row in range(0, seq, max(1, rows)):
            yield _Block(slice(text, text + texts), slice(row, row + rows), slice(None))


def _of_pairs(first: Factors, second: Factors, blocks: list[_Block]) -> Tensor:
    result: Tensor = _PairByPair.apply(*first, *second, blocks)  # type: ignore[no-untyped-call]
    return result


class _PairByPair(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> Tensor:
        *factors, blocks = inputs
        first, second = Factors(*factors[:3]), Factors(*factors[3:])
        total = first.row.new_zeros(first.row.shape[:2])
        for block in blocks:
            p, q = block.build(first), block.build(second)
            difference = p - q
            total[block.texts, block.labels] += (p.sigmoid_() - q.sigmoid_()).mul_(difference).sum((-2, -1))
        ctx.save_for_backward(*factors)
        ctx.blocks = blocks
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        factors = ctx.saved_tensors
        first, second = Factors(*factors[:3]), Factors(*factors[3:])
        gradients = [torch.zeros_like(factor, memory_format=torch.contiguous_format) for factor in factors]
        with without_autocast(grad):
            for block in ctx.blocks:
                weight = grad[block.texts, block.labels, None, None]
                pulls = _pulls(block.build(first), block.build(second))
                for pull, own in zip(pulls, (Factors(*gradients[:3]), Factors(*gradients[3:])), strict=True):
                    _add(own, block, pull.mul_(weight))
                    weight = -weight
        return *gradients, None


def _pulls(s: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    """The gradient of s, and of t but for its sign; both are overwritten."""
    difference = s - t
    gap = s.sigmoid_() - t.sigmoid_()
    return _slope(s).mul_(difference).add_(gap), _slope(t).mul_(difference).add_(gap)


def _slope(p: Tensor) -> Tensor:
    """p (1 - p), in place."""
    return p.addcmul_(p, p, value=-1)


def _add(gradients: Factors, block: _Block, values: Tensor) -> None:
    """A row and label is in one block only; an end is in those of all rows."""
    texts, rows, labels = block
    gradients.shared[texts, rows] = values.sum(1)
    gradients.row[texts, labels, rows] = values.sum(-1)
    gradients.column[texts, labels] += values.sum(-2)


# --- far rows: the series ---


class _Side(NamedTuple):
    """The factors of one pass relative to their largest, and what they differ by from those of the other pass."""

    shared: Tensor  # S - m: [batch, seq, seq]
    column: Tensor  # c - t: [batch, seq, num_labels]
    reach: Tensor  # a + m + t: [batch, seq, num_labels], the largest score that a row could have
    differences: Factors  # dS, da, dc, tokens before labels

    @staticmethod
    def of(own: Factors, other: Factors, mask: Tensor) -> _Side:
        shared, row, column = own.shared, own.row.mT, own.column.mT
        peak = shared.detach().amax(-1, keepdim=True)
        top = column.detach().masked_fill(~mask[..., None], -torch.inf).amax(1, keepdim=True)
        top = top.masked_fill(top == -torch.inf, 0)
        differences = Factors(shared - other.shared, row - other.row.mT, column - other.column.mT)
        return _Side(shared - peak, column - top, row + peak + top, differences)

    @torch.no_grad()
    def bound(self) -> Tensor:
        """At least the largest score of each row: [batch, seq, num_labels]."""
        return self.reach + (self.shared.exp() @ self.column.exp()).clamp_(min=SMALLEST).log_()

    def moment(self, near: Tensor) -> Tensor:
        """The sum of sigmoid(s) (s - t) over the far rows: [batch, num_labels]."""
        reach = self.reach.masked_fill(near, -torch.inf)
        total = torch.zeros_like(self.reach[:, 0])
        for k in range(1, ORDER + 1):
            total = torch.add(total, self._term(k, (k * reach).exp()), alpha=(-1) ** (k + 1))
        return total

    def _term(self, k: int, weight: Tensor) -> Tensor:
        """The sum of e^ks (s - t)."""
        shared, column = (k * self.shared).exp(), (k * self.column).exp()
        by_pair = torch.cat((shared * self.differences.shared, shared), -1)
        moved = by_pair @ torch.cat((column, column * self.differences.column), 1)
        return (weight * torch.addcmul(moved, self.differences.row, shared @ column)).sum(1)


def _near(blocks: list[_Block], sides: tuple[_Side, _Side]) -> tuple[list[_Block], Tensor]:
    """The blocks cut down to the labels that have a near row in them, and where those rows are, all of the block."""
    near = torch.maximum(*(side.bound() for side in sides)) > THRESHOLD
    wanted = torch.stack([near[block.texts, block.rows].any(0).any(0) for block in blocks])
    cut = []
    for block, labels, chosen in zip(blocks, wanted, _chosen(wanted), strict=True):
        near[block.texts, block.rows] = labels
        if len(chosen):
            cut.append(block._replace(labels=chosen if len(chosen) < len(labels) else slice(None)))
    return cut, near


def _chosen(wanted: Tensor) -> list[Tensor]:
    """Where each row of a table is True; the device is waited for once."""
    rows, labels = wanted.cpu().nonzero(as_tuple=True)
    counts = rows.bincount(minlength=len(wanted)).tolist()
    return list(labels.to(wanted.device).split(counts))
