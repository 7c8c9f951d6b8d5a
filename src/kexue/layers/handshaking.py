"""The handshaking kernel of TPLinker: a vector for every pair of tokens i <= j.

    h_ij = tanh(W [h_i; h_j] + b) = tanh(row_i + column_j)

The linear map of a concatenation is the sum of a map of either part, so neither the concatenation [h_i; h_j] nor a
product with it is ever computed: what is left for a pair is one addition and one tanh of hidden_dim numbers. That is
still hidden_dim numbers where a product of a query and a key has one, so pair vectors are made some at a time, and in
training made again in the backward pass.
Source: Wang et al. 2020, "TPLinker", arXiv 2010.13415.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from kexue.layers.token_pair_scores import LinkScores, PairScores
from kexue.ops.precision import exact_dtype, without_autocast

CHUNK = 2**22
"""Numbers of pair vectors held at a time: 16 MB in float32."""


class Handshaking(nn.Module):
    """hidden [batch, seq, hidden_dim] -> the two halves of all pair vectors."""

    def __init__(self, hidden_dim: int) -> None:
        super().__init__()
        self.row = nn.Linear(hidden_dim, hidden_dim)
        self.column = nn.Linear(hidden_dim, hidden_dim, bias=False)

    def forward(self, hidden: Float[Tensor, "batch seq dim"]) -> PairVectors:
        with without_autocast(hidden):
            hidden = hidden.to(exact_dtype(hidden))
            return PairVectors(self.row(hidden), self.column(hidden))


@dataclass(frozen=True, eq=False)
class PairVectors:
    """h_ij = tanh(row_i + column_j), made where it is asked for."""

    row: Float[Tensor, "batch seq dim"]
    column: Float[Tensor, "batch seq dim"]

    def sum_of_rows(self, loss: Callable[[Tensor, slice], Tensor]) -> Float[Tensor, " batch"]:
        """The sum over all rows i of a loss of the vectors [batch, rows, columns, dim] with j >= the first of the rows.

        `loss` takes them with the rows, whose columns begin at the first row. Of several blocks no vector is kept.
        """
        blocks = list(self._rows())
        again = len(blocks) > 1 and torch.is_grad_enabled()

        def of_block(row: Tensor, column: Tensor, rows: slice) -> Tensor:
            with without_autocast(row):
                return loss(torch.tanh(row[:, rows, None] + column[:, None, rows.start :]), rows)

        total = self.row.new_zeros(len(self.row))
        for rows in blocks:
            given = self.row, self.column, rows
            total = total + (
                checkpoint(of_block, *given, use_reentrant=False, preserve_rng_state=False)
                if again
                else of_block(*given)
            )
        return total

    def _rows(self) -> Iterator[slice]:
        batch, seq, dim = self.row.shape
        first = 0
        while first < seq:
            size = max(1, CHUNK // (batch * dim * (seq - first)))
            yield slice(first, min(seq, first + size))
            first += size


@dataclass(frozen=True, eq=False)
class HandshakingScores(PairScores, LinkScores):
    """Scores of ordered pairs from vectors of unordered ones.

    `read` turns vectors [..., dim] into the scores [..., num_labels, 2] of (first, second) and of (second, first),
    with the earlier token first in the text.
    """

    vectors: PairVectors
    read: Callable[[Tensor], Tensor]
    labels: int
    ordered: bool = False

    @property
    def num_labels(self) -> int:
        return self.labels

    def block(self, rows: slice, columns: slice) -> Float[Tensor, "batch num_labels rows columns"]:
        places = torch.arange(self.vectors.row.shape[1], device=self.vectors.row.device)
        return torch.stack([self.at(text, places[rows], places[columns]) for text in range(len(self.vectors.row))])

    def at(self, batch: int, starts: Int[Tensor, " m"], ends: Int[Tensor, " n"]) -> Float[Tensor, "num_labels m n"]:
        size = max(1, CHUNK // (self.vectors.row.shape[2] * max(1, len(ends))))
        parts = [self._at(batch, part, ends) for part in starts.split(size)]
        return torch.cat(parts, 1)

    def pairs(
        self, batch: Int[Tensor, " n"], starts: Int[Tensor, " n"], ends: Int[Tensor, " n"]
    ) -> Float[Tensor, "n num_labels"]:
        size = max(1, CHUNK // self.vectors.row.shape[2])
        return torch.cat(
            [self._of(*part) for part in zip(*(x.split(size) for x in (batch, starts, ends)), strict=True)]
        )

    def _at(self, batch: int, starts: Tensor, ends: Tensor) -> Tensor:
        text = torch.full_like(starts, batch)[:, None]
        return self._of(text, starts[:, None], ends).permute(2, 0, 1)

    def _of(self, batch: Tensor, starts: Tensor, ends: Tensor) -> Tensor:
        """The scores [..., num_labels] of pairs whose indices are broadcast against each other."""
        row, column = self.vectors.row, self.vectors.column
        first, second = torch.minimum(starts, ends), torch.maximum(starts, ends)
        with without_autocast(row):
            both = self.read(torch.tanh(row[batch, first] + column[batch, second]))
        return torch.where((starts <= ends)[..., None], both[..., 0], both[..., 1])
