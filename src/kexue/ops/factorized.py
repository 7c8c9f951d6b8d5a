"""The multi-label loss of additive scores, exact, without building heads x length x length.

    s_h(i, j) = S_ij + a_hi + c_hj      so      sum over j of exp(s_h(i, j)) = exp(a_hi) (exp(S) exp(c_h))_i

One matrix product gives these sums for all labels, in memory O(length^2 + heads x length), and two give the
gradient. With m_i the largest entry of row i of S, and t_h the largest of c_h,

    R_hi = a_hi + m_i + t_h + log T_hi,     T = exp(S - m) exp(c - t),     N_h = log(1 + sum_i exp(R_hi))

Two kinds of rows (h, i) cannot come from the product and are computed from their scores; they are few:
  - a row that holds a positive: its positives are left out, never subtracted, so nothing cancels;
  - a row whose T underflows, because S and c peak at different j, and which counts in N.

Logarithms are kept relative to an origin o_h near the largest score of the label, and o_h enters only the
value of the loss: at scores of 60 the rounding of float32 would otherwise reach the fifth digit of gradients.
Derived from Su, kexue.fm/archives/8877 (the scores) and 8888 (the loss), 2022.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable

from kexue.ops.masking import mask_pairs
from kexue.ops.positives import Positives, distinct_positives, positive_term
from kexue.ops.precision import exact_dtype, without_autocast

CHUNK = 2**18
"""Scores of exact rows held at a time: bounds the memory where many rows underflow."""

NEGLIGIBLE = 40.0
"""Nats below the largest row of its label at which an underflown row changes no digit of the loss."""


def factorized_multilabel_cross_entropy(
    shared: Float[Tensor, "batch seq seq"],
    row: Float[Tensor, "batch num_labels seq"],
    column: Float[Tensor, "batch num_labels seq"],
    positives: Int[Tensor, "n 4"],
    mask: Bool[Tensor, "batch seq"],
    ordered: bool = False,
) -> Float[Tensor, "batch num_labels"]:
    """The loss of each text and label with score(b, h, i, j) = shared[b,i,j] + row[b,h,i] + column[b,h,j].

    `positives` are (batch, label, start, end), in any order; one given twice counts once. `mask` is True at
    the tokens to keep; if `ordered`, only pairs with start <= end are classes. Computes in float32 at least,
    also under autocast. Fastest where `row` and `column` are transposed views of [batch, seq, num_labels].

    Raises ValueError for a positive that is no class: outside, on padding, or with start > end if `ordered`.
    """
    distinct = distinct_positives(positives, mask, row.shape[1], ordered=ordered)
    dtype = exact_dtype(shared, row, column)
    factors = shared.to(dtype), row.to(dtype).mT, column.to(dtype).mT
    loss: Tensor = _FactorizedLoss.apply(*factors, mask, ordered, distinct)  # type: ignore[no-untyped-call]
    return loss


class _Scores(NamedTuple):
    """The factors of all scores, and which pairs are classes. Tokens before labels, as heads compute them."""

    shared: Tensor  # [batch, seq, seq]
    row: Tensor  # [batch, seq, num_labels]
    column: Tensor  # [batch, seq, num_labels]
    mask: Tensor  # [batch, seq]
    ordered: bool

    def of_pairs(self, pairs: Positives) -> Tensor:
        """The scores [n] of single pairs."""
        b, h, i, j = pairs
        return self.shared[b, i, j] + self.row[b, i, h] + self.column[b, j, h]

    def of_rows(self, rows: _Rows, origin: _Origin) -> Tensor:
        """The scores [n, seq] of whole rows less the origin, -inf at what is no class."""
        b, i, h = rows
        shared = self.shared[b, i] - origin.shared[b, None]
        row = self.row[b, i, h] - origin.row[b, h]
        column = self.column[b, :, h] - origin.column[b, h, None]
        return (shared + row[:, None] + column).masked_fill_(~self._kept(b, i), -torch.inf)

    def _kept(self, batch: Tensor, start: Tensor) -> Tensor:
        kept = self.mask[batch]
        if not self.ordered:
            return kept
        return kept & (torch.arange(kept.shape[1], device=kept.device) >= start[:, None])


class _Rows(NamedTuple):
    """Rows of scores, all long[n]."""

    batch: Tensor
    start: Tensor
    label: Tensor


class _Origin(NamedTuple):
    """The largest kept entry of each factor; their sum is at least the largest score of the label."""

    shared: Tensor  # [batch]
    row: Tensor  # [batch, num_labels]
    column: Tensor  # t: [batch, num_labels]

    def total(self) -> Tensor:
        return self.shared[:, None] + self.row + self.column


class _Exponentials(NamedTuple):
    """exp(S - m) and exp(c - t), and a + m + t less the origin; 0, 0 and -inf at padding."""

    shared: Tensor  # [batch, seq, seq]
    column: Tensor  # [batch, seq, num_labels]
    reach: Tensor  # [batch, seq, num_labels]


class _Gradients(NamedTuple):
    """The gradients of the three factors, filled in place."""

    shared: Tensor
    row: Tensor
    column: Tensor

    def add_pairs(self, pairs: Positives, values: Tensor) -> None:
        b, h, i, j = pairs
        self.shared.index_put_((b, i, j), values, accumulate=True)
        self.row.index_put_((b, i, h), values, accumulate=True)
        self.column.index_put_((b, j, h), values, accumulate=True)

    def add_rows(self, rows: _Rows, values: Tensor) -> None:
        b, i, h = rows
        self.shared.index_put_((b, i), values, accumulate=True)
        self.row.index_put_((b, i, h), values.sum(-1), accumulate=True)
        self.column.mT.index_put_((b, h), values, accumulate=True)


class _FactorizedLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        shared: Tensor,
        row: Tensor,
        column: Tensor,
        mask: Tensor,
        ordered: bool,
        positives: Positives,
    ) -> Tensor:
        scores = _Scores(shared, row, column, mask, ordered)
        with without_autocast(shared):
            total, origin, sums, exact = _negatives(scores, positives)
        odds = total + origin.total()
        positive, pulls = positive_term(scores.of_pairs(positives), positives, *total.shape)
        ctx.save_for_backward(shared, row, column, mask, *positives, pulls, total, odds, sums, exact)
        ctx.ordered = ordered
        return positive + torch.logaddexp(odds, torch.zeros_like(odds))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        shared, row, column, mask, *columns, pulls, total, odds, sums, exact = ctx.saved_tensors
        scores, positives = _Scores(shared, row, column, mask, ctx.ordered), Positives(*columns)
        total, scale = _finite(total), odds.sigmoid() * grad
        exponentials, origin = _exponentials(scores)
        with without_autocast(grad):
            gradients = _gradients_of_product(exponentials, sums, _rows(exact, scores), total, scale)
        for rows, values in _exact_rows(scores, exact, origin, positives):
            of_row = rows.batch, rows.label, None
            gradients.add_rows(rows, (values - total[of_row]).exp_() * scale[of_row])
        gradients.add_pairs(positives, -pulls * grad[positives.batch, positives.label])
        return *gradients, None, None, None


def _negatives(scores: _Scores, positives: Positives) -> tuple[Tensor, _Origin, Tensor, Tensor]:
    """The logsumexp of the negatives less the origin, the origin, T, and the numbers of the exact rows."""
    exponentials, origin = _exponentials(scores)
    sums = exponentials.shared @ exponentials.column
    totals = sums.log().add_(exponentials.reach)
    labelled = torch.unique(_row_numbers(scores, positives))
    for rows, values in _exact_rows(scores, labelled, origin, positives):
        totals[rows] = values.logsumexp(-1)
    lost = _lost_rows(exponentials.reach, sums, totals, _rows(labelled, scores))
    for rows, values in _exact_rows(scores, lost, origin, positives):
        totals[rows] = values.logsumexp(-1)
    return totals.logsumexp(1), origin, sums, torch.cat((labelled, lost)).sort().values


def _gradients_of_product(
    exponentials: _Exponentials, sums: Tensor, exact: _Rows, total: Tensor, scale: Tensor
) -> _Gradients:
    """The gradients through all rows but the exact ones: each score has w_hi exp(S - m)_ij exp(c - t)_jh."""
    shared, column, reach = exponentials
    weights = reach.sub_(total[:, None]).exp_().mul_(scale[:, None])
    weights[exact] = 0
    return _Gradients(
        shared=(weights @ column.mT).mul_(shared),
        row=weights * sums,
        column=(shared.mT @ weights).mul_(column),
    )


def _exponentials(scores: _Scores) -> tuple[_Exponentials, _Origin]:
    padding = ~scores.mask[..., None]
    shared = mask_pairs(scores.shared, scores.mask, ordered=scores.ordered)
    column = scores.column.masked_fill(padding, -torch.inf)
    reach = scores.row.masked_fill(padding, -torch.inf)
    peak = _finite(shared.amax(-1))
    origin = _Origin(peak.amax(1), _finite(reach.amax(1)), _finite(column.amax(1)))
    shared.sub_(peak[..., None]).exp_()
    column.sub_(origin.column[:, None]).exp_()
    reach.sub_(origin.row[:, None]).add_((peak - origin.shared[:, None])[..., None])
    return _Exponentials(shared, column, reach), origin


def _finite(largest: Tensor) -> Tensor:
    """0 where nothing was kept: -inf less -inf is no number."""
    return largest.masked_fill(largest == -torch.inf, 0)


def _lost_rows(reach: Tensor, sums: Tensor, totals: Tensor, exact: _Rows) -> Tensor:
    """Numbers of the rows, but the exact ones, whose T has lost digits that count: commonly none.

    T is a sum of numbers up to 1, of which those below the smallest normal number are lost. While T is above
    the square root of that number, neither this nor the 1/T in the gradient does harm. A smaller T leaves a
    row below reach + log(bound), which is no matter where that is negligible beside the largest row.
    """
    bound = math.sqrt(torch.finfo(sums.dtype).tiny)
    lost = (sums < bound) & (reach > -torch.inf)
    lost[exact] = False
    if not bool(lost.any()):
        return torch.empty(0, dtype=torch.long, device=sums.device)
    largest = totals.masked_fill(lost, -torch.inf).amax(1, keepdim=True)
    return (lost & (reach + math.log(bound) > largest - NEGLIGIBLE)).flatten().nonzero().squeeze(1)


def _row_numbers(scores: _Scores, pairs: Positives) -> Tensor:
    """The number of the row of each pair, counted through [batch, seq, num_labels]."""
    _, seq, num_labels = scores.row.shape
    return (pairs.batch * seq + pairs.start) * num_labels + pairs.label


def _rows(numbers: Tensor, scores: _Scores) -> _Rows:
    return _Rows(*torch.unravel_index(numbers, scores.row.shape))


def _exact_rows(
    scores: _Scores, numbers: Tensor, origin: _Origin, positives: Positives
) -> Iterator[tuple[_Rows, Tensor]]:
    """The numbered rows, in chunks, with their scores [rows, seq] less the origin; -inf but at negatives."""
    holders = _row_numbers(scores, positives)
    size = max(1, CHUNK // scores.mask.shape[1])
    for first in range(0, len(numbers), size):
        chunk = numbers[first : first + size]
        rows = _rows(chunk, scores)
        values = scores.of_rows(rows, origin)
        place = torch.searchsorted(chunk, holders).clamp(max=len(chunk) - 1)
        taken = torch.where(chunk[place] == holders, -torch.inf, 0.0).to(values.dtype)
        # The positives of other rows add 0 somewhere: to select them away would wait for the device.
        values.index_put_((place, positives.end), taken, accumulate=True)
        yield rows, values
