"""Scores of token pairs, one matrix per label, kept as factors: s_h(i, j) of a start i and an end j.

A head for 171 relations on 8 texts of 256 tokens has 90 million scores, made of 1 million factors (45 million
in the standard GlobalPointer). So the factors are what is kept, and whoever needs scores asks for a block,
for the pairs of chosen starts and ends, or for the loss over all of them.
Source of the two kinds: Su, kexue.fm/archives/8373 (2021) and 8877 (2022).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from jaxtyping import Bool, Float, Int
from torch import Tensor

from kexue.ops.multilabel import factorized_multilabel_cross_entropy, product_multilabel_cross_entropy
from kexue.ops.precision import without_autocast


class PairScores(ABC):
    """Scores [batch, num_labels, seq, seq] of (start, end), both inclusive tokens; never stored whole.

    No mask is applied by `block`, `at` and `dense`: the caller leaves out padding and, where `ordered`,
    the pairs with start > end.
    """

    ordered: bool
    """True where only pairs with start <= end are classes."""

    @property
    @abstractmethod
    def num_labels(self) -> int:
        """How many labels are scored."""

    @abstractmethod
    def block(self, rows: slice, columns: slice) -> Float[Tensor, "batch num_labels rows columns"]:
        """The scores of the starts `rows` and the ends `columns`."""

    def dense(self) -> Float[Tensor, "batch num_labels seq seq"]:
        """All scores in one tensor: for tests and pictures only."""
        return self.block(slice(None), slice(None))


class LinkScores(PairScores):
    """Scores that can be asked for at chosen tokens."""

    @abstractmethod
    def at(self, batch: int, starts: Int[Tensor, " m"], ends: Int[Tensor, " n"]) -> Float[Tensor, "num_labels m n"]:
        """The scores of every chosen start with every chosen end of one text."""


class TokenPairScores(LinkScores):
    """Scores that are trained as such: every pair is a class of its label."""

    @abstractmethod
    def loss(self, positives: Int[Tensor, "n 4"], mask: Bool[Tensor, "batch seq"]) -> Float[Tensor, "batch num_labels"]:
        """Multi-label cross-entropy of each text and label; `positives` are (batch, label, start, end)."""


@dataclass(frozen=True, eq=False)
class FactorizedScores(TokenPairScores):
    """s_h(i, j) = q_i . k_j + row_h(i) + column_h(j): one matrix for all labels, two vectors for each."""

    query: Float[Tensor, "batch seq dim"]
    key: Float[Tensor, "batch seq dim"]
    row: Float[Tensor, "batch num_labels seq"]
    column: Float[Tensor, "batch num_labels seq"]
    ordered: bool = False

    @property
    def num_labels(self) -> int:
        return self.row.shape[1]

    def block(self, rows: slice, columns: slice) -> Float[Tensor, "batch num_labels rows columns"]:
        shared = _product(self.query[:, rows], self.key[:, columns])
        return (shared[:, None] + self.row[:, :, rows, None]).add_(self.column[:, :, None, columns])

    def at(self, batch: int, starts: Int[Tensor, " m"], ends: Int[Tensor, " n"]) -> Float[Tensor, "num_labels m n"]:
        shared = _product(self.query[batch, starts], self.key[batch, ends])
        return shared + self.row[batch][:, starts, None] + self.column[batch][:, None, ends]

    def loss(self, positives: Int[Tensor, "n 4"], mask: Bool[Tensor, "batch seq"]) -> Float[Tensor, "batch num_labels"]:
        shared = _product(self.query, self.key)
        return factorized_multilabel_cross_entropy(shared, self.row, self.column, positives, mask, ordered=self.ordered)


@dataclass(frozen=True, eq=False)
class ProductScores(TokenPairScores):
    """s_h(i, j) = q_h(i) . k_h(j): a query and a key of its own for every label."""

    query: Float[Tensor, "batch num_labels seq dim"]
    key: Float[Tensor, "batch num_labels seq dim"]
    ordered: bool = False

    @property
    def num_labels(self) -> int:
        return self.query.shape[1]

    def block(self, rows: slice, columns: slice) -> Float[Tensor, "batch num_labels rows columns"]:
        return _product(self.query[:, :, rows], self.key[:, :, columns])

    def at(self, batch: int, starts: Int[Tensor, " m"], ends: Int[Tensor, " n"]) -> Float[Tensor, "num_labels m n"]:
        return _product(self.query[batch][:, starts], self.key[batch][:, ends])

    def loss(self, positives: Int[Tensor, "n 4"], mask: Bool[Tensor, "batch seq"]) -> Float[Tensor, "batch num_labels"]:
        return product_multilabel_cross_entropy(self.query, self.key, positives, mask, ordered=self.ordered)


def _product(query: Float[Tensor, "*b m dim"], key: Float[Tensor, "*b n dim"]) -> Float[Tensor, "*b m n"]:
    with without_autocast(query):
        return query @ key.mT
