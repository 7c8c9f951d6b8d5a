"""Scores of token pairs, one matrix per label, kept as factors: s_h(i, j) of a start i and an end j.

A head for 171 relations on 8 texts of 256 tokens has 90 million scores, made of 1 million factors (45 million
in the standard GlobalPointer). So the factors are what is kept, and whoever needs scores asks for a block,
for the pairs of chosen starts and ends, or for the loss over all of them.
Source of the two kinds: Su, kexue.fm/archives/8373 (2021) and 8877 (2022).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from kexue.ops.divergence import sigmoid_divergence, softmax_divergence, squared_divergence
from kexue.ops.factorized_divergence import Factors, factorized_sigmoid_divergence
from kexue.ops.masking import mask_pairs
from kexue.ops.multilabel import factorized_multilabel_cross_entropy, product_multilabel_cross_entropy
from kexue.ops.precision import without_autocast

Scores = TypeVar("Scores", bound="TokenPairScores")  # the import hook of the tests knows no Self

STREAMED = 2**18
"""Scores of each pass that are compared at a time where a divergence is computed from whole matrices."""


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


class LinkScores(ABC):
    """Scores that can be asked for at chosen tokens."""

    @property
    @abstractmethod
    def num_labels(self) -> int:
        """How many labels are scored."""

    @abstractmethod
    def at(self, batch: int, starts: Int[Tensor, " m"], ends: Int[Tensor, " n"]) -> Float[Tensor, "num_labels m n"]:
        """The scores of every chosen start with every chosen end of one text."""

    @abstractmethod
    def pairs(
        self, batch: Int[Tensor, " n"], starts: Int[Tensor, " n"], ends: Int[Tensor, " n"]
    ) -> Float[Tensor, "n num_labels"]:
        """The scores of single pairs of several texts."""


class TokenPairScores(PairScores, LinkScores):
    """Scores that are trained as such: every pair is a class of its label."""

    @abstractmethod
    def loss(self, positives: Int[Tensor, "n 4"], mask: Bool[Tensor, "batch seq"]) -> Float[Tensor, "batch num_labels"]:
        """Multi-label cross-entropy of each text and label; `positives` are (batch, label, start, end)."""

    def sigmoid_divergence(
        self: Scores, other: Scores, mask: Bool[Tensor, "batch seq"]
    ) -> Float[Tensor, "batch num_labels"]:
        """How far the scores of another pass are from these, by text and label: <sigmoid(s) - sigmoid(t), s - t>."""
        return self._streamed(other, mask, sigmoid_divergence)

    def softmax_divergence(
        self: Scores, other: Scores, mask: Bool[Tensor, "batch seq"]
    ) -> Float[Tensor, "batch num_labels"]:
        """<softmax(s) - softmax(t), s - t>, the softmax taken over all pairs of a label."""
        return self._streamed(other, mask, softmax_divergence)

    def squared_divergence(
        self: Scores, other: Scores, mask: Bool[Tensor, "batch seq"]
    ) -> Float[Tensor, "batch num_labels"]:
        """The sum of (s - t)^2 over the pairs of a label."""
        return self._streamed(other, mask, squared_divergence)

    @abstractmethod
    def of(self: Scores, texts: slice, labels: slice) -> Scores:
        """The scores of some texts and labels."""

    @abstractmethod
    def scaled(self: Scores, by: float) -> Scores:
        """The scores times a number."""

    @abstractmethod
    def detached(self: Scores) -> Scores:
        """The same scores, through which no gradient flows."""

    @property
    @abstractmethod
    def num_texts(self) -> int:
        """How many texts are scored."""

    def _streamed(self: Scores, other: Scores, mask: Tensor, divergence: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        """A divergence from whole matrices: of some texts, or some labels of one, built again in the backward pass."""

        def part(texts: slice, labels: slice) -> Tensor:
            pair = (scores.of(texts, labels).dense() for scores in (self, other))
            first, second = (mask_pairs(scores, mask[texts], ordered=self.ordered).flatten(2) for scores in pair)
            return divergence(first, second)

        matrices = max(1, STREAMED // mask.shape[1] ** 2)
        texts = _slices(self.num_texts, matrices // max(1, self.num_labels))
        labels = _slices(self.num_labels, matrices)
        return torch.cat([torch.cat([_kept_small(part, some, chosen) for chosen in labels], 1) for some in texts])


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

    def pairs(
        self, batch: Int[Tensor, " n"], starts: Int[Tensor, " n"], ends: Int[Tensor, " n"]
    ) -> Float[Tensor, "n num_labels"]:
        shared = (self.query[batch, starts] * self.key[batch, ends]).sum(-1, keepdim=True)
        return shared + self.row.mT[batch, starts] + self.column.mT[batch, ends]

    def loss(self, positives: Int[Tensor, "n 4"], mask: Bool[Tensor, "batch seq"]) -> Float[Tensor, "batch num_labels"]:
        return factorized_multilabel_cross_entropy(*self.factors, positives, mask, ordered=self.ordered)

    def sigmoid_divergence(
        self, other: FactorizedScores, mask: Bool[Tensor, "batch seq"]
    ) -> Float[Tensor, "batch num_labels"]:
        return factorized_sigmoid_divergence(self.factors, other.factors, mask, ordered=self.ordered)

    @property
    def factors(self) -> Factors:
        """The matrix that all labels share, and the two vectors of each."""
        return Factors(_product(self.query, self.key), self.row, self.column)

    def of(self, texts: slice, labels: slice) -> FactorizedScores:
        row, column = (terms[texts, labels] for terms in (self.row, self.column))
        return replace(self, query=self.query[texts], key=self.key[texts], row=row, column=column)

    def scaled(self, by: float) -> FactorizedScores:
        return replace(self, query=by * self.query, row=by * self.row, column=by * self.column)

    def detached(self) -> FactorizedScores:
        query, key, row, column = (part.detach() for part in (self.query, self.key, self.row, self.column))
        return replace(self, query=query, key=key, row=row, column=column)

    @property
    def num_texts(self) -> int:
        return self.query.shape[0]


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

    def pairs(
        self, batch: Int[Tensor, " n"], starts: Int[Tensor, " n"], ends: Int[Tensor, " n"]
    ) -> Float[Tensor, "n num_labels"]:
        return (self.query[batch, :, starts] * self.key[batch, :, ends]).sum(-1)

    def loss(self, positives: Int[Tensor, "n 4"], mask: Bool[Tensor, "batch seq"]) -> Float[Tensor, "batch num_labels"]:
        return product_multilabel_cross_entropy(self.query, self.key, positives, mask, ordered=self.ordered)

    def of(self, texts: slice, labels: slice) -> ProductScores:
        return replace(self, query=self.query[texts, labels], key=self.key[texts, labels])

    def scaled(self, by: float) -> ProductScores:
        return replace(self, query=by * self.query)

    def detached(self) -> ProductScores:
        return replace(self, query=self.query.detach(), key=self.key.detach())

    @property
    def num_texts(self) -> int:
        return self.query.shape[0]


def _product(query: Float[Tensor, "*b m dim"], key: Float[Tensor, "*b n dim"]) -> Float[Tensor, "*b m n"]:
    with without_autocast(query):
        return query @ key.mT


def _slices(size: int, step: int) -> list[slice]:
    """Of `step` or one at a time; one empty slice of nothing."""
    step = max(1, step)
    return [slice(start, start + step) for start in range(0, max(1, size), step)]


def _kept_small(part: Callable[[slice, slice], Tensor], texts: slice, labels: slice) -> Tensor:
    """What a part gives, with nothing kept for the backward pass but what it is made of."""
    result: Tensor = checkpoint(part, texts, labels, use_reentrant=False, preserve_rng_state=False)
    return result
