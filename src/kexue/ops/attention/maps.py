"""Attention maps: how a row of scores becomes a row of weights, A_i = f(c_i Q_i K^T).

c_i depends on n, the number of tokens that token i sees, and on s, the width of queries and keys. Scores are
scaled before anything is squared or raised, which keeps them within half precision.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from kexue.ops.attention import streamed
from kexue.ops.attention.attention import Attention, Dropout, Mask, Values, Vectors, num_visible
from kexue.ops.precision import exact_dtype

Scores = Float[Tensor, "texts rows columns"]
Counts = Float[Tensor, "#texts #seq 1"]


@dataclass(frozen=True, slots=True)
class AttentionMap(Attention):
    """A = f(c Q K^T), one row at a time; the weight of a masked or a later token is zero."""

    normalised: ClassVar[bool]
    """Whether each row of weights is divided by its sum."""

    @abstractmethod
    def scale(self, num_tokens: Counts, key_dim: int) -> Counts:
        """c, given how many tokens n each row sees and the width s of queries and keys."""

    @abstractmethod
    def weights(self, scores: Scores) -> Scores:
        """f of scaled scores, which it may overwrite."""

    @abstractmethod
    def weights_and_slopes(self, scores: Scores) -> tuple[Scores, Scores]:
        """f, and f' as `streamed` takes it; the scores may be overwritten."""

    def __call__(
        self,
        query: Float[Tensor, "texts seq key_dim"],
        key: Float[Tensor, "texts seq key_dim"],
        mask: Bool[Tensor, "texts seq"] | None = None,
    ) -> Float[Tensor, "texts seq seq"]:
        """All weights at once: of all tokens j (last dimension) for each token i."""
        scores = self._scaled(query, mask) @ key.mT
        return self.weights(streamed.hide(scores, mask, slice(0, query.shape[1]), causal=self.causal))

    def mix(self, vectors: Vectors, value: Values, mask: Mask | None, dropout: Dropout | None) -> Values:
        """O = A V, a block of A at a time."""
        query, key = vectors.unbind()
        return streamed.mix(self, self._scaled(query, mask), key, value, mask, causal=self.causal, dropout=dropout)

    def pull(
        self, vectors: Vectors, value: Values, mask: Mask | None, dropout: Dropout | None, out: Values, gradient: Values
    ) -> tuple[Vectors, Values]:
        """The gradients of `mix`, a block of A at a time."""
        query, key = vectors.unbind()
        d_query, d_key, d_value = streamed.pull(
            self, self._scaled(query, mask), key, value, mask, out, gradient, causal=self.causal, dropout=dropout
        )
        return torch.stack((self._scaled(d_query, mask), d_key)), d_value

    def _scaled(
        self, query: Float[Tensor, "texts seq key_dim"], mask: Mask | None
    ) -> Float[Tensor, "texts seq key_dim"]:
        """c Q; c is computed in float32 at least, as half precision cannot count."""
        _, seq, key_dim = query.shape
        n = num_visible(mask, seq, causal=self.causal, like=query, dtype=exact_dtype(query))
        return query * self.scale(n, key_dim).to(query.dtype)


@dataclass(frozen=True, slots=True)
class _Squared(AttentionMap):
    """f(x) = relu(x)^2."""

    normalised: ClassVar[bool] = False

    def weights(self, scores: Scores) -> Scores:
        return scores.relu_().square()

    def weights_and_slopes(self, scores: Scores) -> tuple[Scores, Scores]:
        positive = scores.relu_()
        squared = positive.square()
        return squared, positive.mul_(2)


@dataclass(frozen=True, slots=True)
class SquaredReLU(_Squared):
    """A = relu(Q K^T)^2 / (n s).

    Source: kexue.fm/archives/8934.
    """

    def scale(self, num_tokens: Counts, key_dim: int) -> Counts:
        return (num_tokens * key_dim).rsqrt()


@dataclass(frozen=True, slots=True)
class SquaredReLUOverLength(_Squared):
    """A = relu(Q K^T / n)^2, as in the appendix of Hua et al. 2022: it fades as n grows."""

    def scale(self, num_tokens: Counts, key_dim: int) -> Counts:
        return num_tokens.reciprocal()


@dataclass(frozen=True, slots=True)
class NormalizedSquaredReLU(AttentionMap):
    """A_ij = relu(Q_i . K_j)^2 / sum_j relu(Q_i . K_j)^2; a row without a positive score is 0.

    What it learns at one length holds better at others (kexue.fm/archives/9019).
    """

    normalised: ClassVar[bool] = True

    def scale(self, num_tokens: Counts, key_dim: int) -> Counts:
        return num_tokens.new_full((1, 1, 1), key_dim**-0.5)

    def weights(self, scores: Scores) -> Scores:
        return self.weights_and_slopes(scores)[0].to(scores.dtype)

    def weights_and_slopes(self, scores: Scores) -> tuple[Scores, Scores]:
        positive = scores.relu_().to(exact_dtype(scores))
        squared = positive.square()
        total = squared.sum(-1, keepdim=True)
        share = total.masked_fill(total == 0, 1).reciprocal()
        return squared * share, 2 * positive * share


@dataclass(frozen=True, slots=True)
class _Exponential(AttentionMap):
    """f(x) = exp(x) / sum of exp(x)."""

    normalised: ClassVar[bool] = True

    def weights(self, scores: Scores) -> Scores:
        return scores.softmax(-1)

    def weights_and_slopes(self, scores: Scores) -> tuple[Scores, Scores]:
        weights = scores.softmax(-1)
        return weights, weights


@dataclass(frozen=True, slots=True)
class Softmax(_Exponential):
    """A = softmax(Q K^T / sqrt(s))."""

    def scale(self, num_tokens: Counts, key_dim: int) -> Counts:
        return num_tokens.new_full((1, 1, 1), key_dim**-0.5)


@dataclass(frozen=True, slots=True, kw_only=True)
class EntropyInvariantSoftmax(_Exponential):
    """A = softmax(log_m(n) Q K^T / sqrt(s)): attention spreads no further as the number of tokens n grows.

    `length` m is the length at which it is the ordinary softmax. Texts shorter than `shortest` tokens count
    as that long. Source: kexue.fm/archives/8823, 9019.
    """

    length: int = 512
    shortest: int = 16

    def scale(self, num_tokens: Counts, key_dim: int) -> Counts:
        return num_tokens.clamp(min=self.shortest).log() / (math.log(self.length) * math.sqrt(key_dim))


@dataclass(frozen=True, slots=True)
class Laplace(AttentionMap):
    """A = (1 + erf((Q K^T / n - mu) / (sigma sqrt(2)))) / 2, mu = sqrt(1/2), sigma = sqrt(1 / (4 pi)).

    It is close to the squared ReLU with a bounded slope (Ma et al. 2022, MEGA). Rows are not normalised, so the
    branch grows with n.
    """

    normalised: ClassVar[bool] = False

    def scale(self, num_tokens: Counts, key_dim: int) -> Counts:
        return num_tokens.reciprocal()

    def weights(self, scores: Scores) -> Scores:
        weights: Tensor = (1 + torch.erf(self._standardised(scores))) / 2
        return weights

    def weights_and_slopes(self, scores: Scores) -> tuple[Scores, Scores]:
        x = self._standardised(scores)
        return (1 + torch.erf(x)) / 2, math.sqrt(2) * torch.exp(-x.square())

    def _standardised(self, scores: Scores) -> Scores:
        """(x - mu) / (sigma sqrt(2))."""
        exact = scores.to(exact_dtype(scores))
        return (exact - math.sqrt(0.5)) * math.sqrt(2 * math.pi)
