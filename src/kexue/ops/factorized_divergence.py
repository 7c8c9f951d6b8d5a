"""The sigmoid divergence of additive scores, without building heads x length x length.

    s_h(i, j) = S_ij + a_hi + c_hj      D_h = sum over pairs of (sigmoid(s) - sigmoid(t)) (s - t)

The sigmoid of a sum is no product, so unlike the loss (`kexue.ops.factorized`) this sum cannot be had from matrix
products alone. But nearly all pairs are confident negatives, where sigmoid(s) is e^s to a relative error of e^s:

    sum over j of e^s (s - t) = e^a_hi (e^S (dc e^c) + (dS e^S) e^c + da_hi e^S e^c),      dS = S - S', da, dc likewise

A row (h, i) is far if neither pass has a score above `THRESHOLD` in it, which e^S e^c bounds. Far rows are summed by
these products, to a relative error of `RELATIVE_ERROR` at most: a pair errs by that share of its own term, and no term
is negative. Near rows are summed pair by pair, in blocks that are built again in the backward pass, with the gradient
sigmoid'(s) (s - t) + sigmoid(s) - sigmoid(t).

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

THRESHOLD = -5.0
"""The largest score of a far row."""
RELATIVE_ERROR = math.expm1(2 * math.log1p(math.exp(THRESHOLD)))
"""The slope of e^s is (1 + e^s)^2 times that of the sigmoid, so between s and t both grow alike but for this."""
BLOCK = {"cpu": 2**17, "cuda": 2**23}
"""Scores built at a time: they stay in the cache of a core, or fill a GPU."""
ROWS = 8
"""The fewest rows in a block."""
SMALLEST = 1e-9
"""A product below it may have lost digits to underflow; it is counted as this, which can only make a row near."""
ABSENT = -1e30
"""Put at pairs that are no classes, in both passes: their sigmoids, differences and slopes are exactly 0."""


class Factors(NamedTuple):
    """score(b, h, i, j) = shared[b,i,j] + row[b,h,i] + column[b,h,j]."""

    shared: Float[Tensor, "batch seq seq"]
    row: Float[Tensor, "batch num_labels seq"]
    column: Float[Tensor, "batch num_labels seq"]


def factorized_sigmoid_divergence(
    scores: Factors, other: Factors, mask: Bool[Tensor, "batch seq"], ordered: bool = False
) -> Float[Tensor, "batch num_labels"]:
    """The divergence of each text and label, over the pairs of kept tokens; if `ordered`, of start <= end only.

    float32 at least, also under autocast; exact where all scores fit into a block, else but for `RELATIVE_ERROR`.
    """
    first, second = (_kept(factors, mask, ordered) for factors in (scores, other))
    divergence: Tensor = _Divergence.apply(*first, *second, mask)  # type: ignore[no-untyped-call]
    return divergence


def _kept(factors: Factors, mask: Tensor, ordered: bool) -> Factors:
    """The factors in float32 at least, `ABSENT` at pairs that are no classes and 0 at padding, whatever was there."""
    dtype = exact_dtype(*factors)
    padding = ~mask[:, None]
    return Factors(
        factors.shared.to(dtype).masked_fill(~pair_mask(mask, ordered=ordered), ABSENT),
        factors.row.to(dtype).masked_fill(padding, 0),
        factors.column.to(dtype).masked_fill(padding, 0),
    )


class _Divergence(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *inputs: Tensor) -> Tensor:
        *factors, mask = inputs
        first, second = Factors(*factors[:3]), Factors(*factors[3:])
        blocks, near, sums = list(_blocks(first)), mask, []
        total = first.row.new_zeros(first.row.shape[:2])
        with without_autocast(mask):
            if len(blocks) > 1:
                sides = _Side.of(first, second, mask), _Side.of(second, first, mask)
                sums = [side.sums() for side in sides]
                bounds = (side.bound(own) for side, own in zip(sides, sums, strict=True))
                blocks, near = _near(blocks, torch.maximum(*bounds))
                for side, own in zip(sides, sums, strict=True):
                    total += (side.weights(near) * own.moved).sum(1)
            for block in blocks:
                total[block.texts, block.labels] += block.divergence(first, second)
        ctx.blocks = blocks
        ctx.save_for_backward(*inputs, near, *(value for own in sums for value in own))
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        *factors, mask, near = ctx.saved_tensors[:8]
        first, second = Factors(*factors[:3]), Factors(*factors[3:])
        gradients = tuple(Factors(*(torch.zeros_like(x) for x in side)) for side in (first, second))
        with without_autocast(grad):
            for block in ctx.blocks:
                block.add_gradients(gradients, first, second, grad)
            for number, sums in enumerate(_pairs(ctx.saved_tensors[8:])):
                own, other = (first, second) if number == 0 else (second, first)
                _Side.of(own, other, mask).add_gradients(gradients[number], gradients[1 - number], sums, near, grad)
        return *gradients[0], *gradients[1], None


def _pairs(values: tuple[Tensor, ...]) -> Iterator[_Sums]:
    return (_Sums(*values[first : first + 2]) for first in range(0, len(values), 2))


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

    def divergence(self, first: Factors, second: Factors) -> Tensor:
        """The sum over its pairs: [texts, labels]."""
        s, t = self.build(first), self.build(second)
        difference = s - t
        return (s.sigmoid_() - t.sigmoid_()).mul_(difference).sum((-2, -1))

    def add_gradients(self, gradients: tuple[Factors, Factors], first: Factors, second: Factors, grad: Tensor) -> None:
        """Add sigmoid'(s) (s - t) + sigmoid(s) - sigmoid(t), and what belongs to t, times `grad`."""
        s, t = self.build(first), self.build(second)
        difference = s - t
        gap = s.sigmoid_() - t.sigmoid_()
        weight = grad[self.texts, self.labels, None, None]
        self._add(gradients[0], _slope(s).mul_(difference).add_(gap).mul_(weight))
        self._add(gradients[1], _slope(t).mul_(difference).add_(gap).mul_(-weight))

    def _add(self, gradients: Factors, values: Tensor) -> None:
        """Rows of a label are in one block only; its columns are in those of all rows."""
        gradients.shared[self.texts, self.rows] = values.sum(1)
        gradients.row[self.texts, self.labels, self.rows] = values.sum(-1)
        gradients.column[self.texts, self.labels] += values.sum(-2)


def _slope(p: Tensor) -> Tensor:
    """p (1 - p), in place."""
    return p.addcmul_(p, p, value=-1)


def _blocks(factors: Factors) -> Iterator[_Block]:
    """All rows of all texts: of the whole batch where it fits, else of some texts, else some rows of one."""
    batch, num_labels, seq = factors.row.shape
    size = BLOCK.get(factors.row.device.type, BLOCK["cpu"])
    texts = min(batch, max(1, size // max(1, num_labels * seq * seq)))
    rows = min(seq, max(ROWS, size // max(1, num_labels * seq)))
    for text in range(0, batch, max(1, texts)):
        for row in range(0, seq, max(1, rows)):
            yield _Block(slice(text, text + texts), slice(row, row + rows), slice(None))


def _near(blocks: list[_Block], bounds: Tensor) -> tuple[list[_Block], Tensor]:
    """The blocks cut down to the labels that have a near row in them, and where those rows are, all of the block."""
    near = bounds > THRESHOLD
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


# --- far rows: matrix products ---


class _Sums(NamedTuple):
    """Over j, of E C and of E C (s - t): [batch, seq, num_labels]."""

    plain: Tensor
    moved: Tensor


class _Side(NamedTuple):
    """exp of the factors of one pass less their largest, and what they differ by from those of the other pass.

    All with tokens before labels. `reach` is a_hi, the largest S_ij of the row and the largest c_hj of the label: a
    bound of the scores of the row, commonly far above them.
    """

    shared: Tensor  # E = exp(S - m): [batch, seq, seq]
    column: Tensor  # C = exp(c - t): [batch, seq, num_labels]
    reach: Tensor  # a + m + t: [batch, seq, num_labels]
    differences: Factors  # dS, da, dc

    @staticmethod
    def of(own: Factors, other: Factors, mask: Tensor) -> _Side:
        shared, row, column = own.shared, own.row.mT, own.column.mT
        peak = shared.amax(-1, keepdim=True)
        top = column.masked_fill(~mask[..., None], -torch.inf).amax(1, keepdim=True)
        top = top.masked_fill(top == -torch.inf, 0)
        differences = Factors(shared - other.shared, row - other.row.mT, column - other.column.mT)
        return _Side((shared - peak).exp_(), (column - top).exp_(), row + peak + top, differences)

    def bound(self, sums: _Sums) -> Tensor:
        """At least the largest score of each row: [batch, seq, num_labels]."""
        return sums.plain.clamp(min=SMALLEST).log_().add_(self.reach)

    def weights(self, near: Tensor) -> Tensor:
        """W = e^(a + m + t) at far rows, 0 at near ones."""
        return self.reach.masked_fill(near, -torch.inf).exp_()

    def sums(self) -> _Sums:
        """The products over all ends."""
        d_shared, d_row, d_column = self.differences
        plain = self.shared @ self.column
        starts = torch.cat((self.shared * d_shared, self.shared), -1)
        ends = torch.cat((self.column, self.column * d_column), 1)
        return _Sums(plain, (starts @ ends).addcmul_(d_row, plain))

    def add_gradients(self, own: Factors, other: Factors, sums: _Sums, near: Tensor, grad: Tensor) -> None:
        """Add those of the sum of W E C (s - t): s is in the exponent and in s - t, t in the latter alone."""
        d_shared, d_row, d_column = self.differences
        weights = self.weights(near).mul_(grad[:, None])
        moved = weights * d_row
        by_pair, by_end = weights @ self.column.mT, self.shared.mT @ weights
        of_pairs = torch.cat((moved, weights), -1) @ torch.cat((self.column, self.column * d_column), -1).mT
        of_ends = torch.cat((self.shared * d_shared, self.shared), 1).mT @ torch.cat((weights, moved), 1)
        exponents = Factors(
            of_pairs.addcmul_(d_shared, by_pair).mul_(self.shared),
            (sums.moved * weights).mT,
            of_ends.addcmul_(d_column, by_end).mul_(self.column).mT,
        )
        differences = Factors(by_pair.mul_(self.shared), (sums.plain * weights).mT, by_end.mul_(self.column).mT)
        for gradient, opposite, exponent, difference in zip(own, other, exponents, differences, strict=True):
            gradient.add_(exponent).add_(difference)
            opposite.sub_(difference)
