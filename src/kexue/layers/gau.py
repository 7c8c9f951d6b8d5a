"""The gated attention unit: attention and the gated feed-forward layer in one.

    O = (U * A V) W_o,   U = silu(X W_u),  V = silu(X W_v),  Z = silu(X W_z),   A = attention(Q(Z), K(Z))

One head suffices; Q and K are Z scaled and shifted per channel. Two units cost as much as one attention plus
one feed-forward layer. Hua et al. 2022 (FLASH); Su, kexue.fm/archives/8934 and 8990 (2022).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor, nn

from kexue.ops.precision import exact_dtype
from kexue.ops.rotary import rotary, rotary_grid

Weights = Float[Tensor, "batch seq seq"]
Vectors = Float[Tensor, "batch seq key_dim"]
Mask = Bool[Tensor, "batch seq"]


class AttentionMap(ABC):
    """How queries and keys become weights A[batch, i, j]; the weight of a masked token j is zero."""

    @abstractmethod
    def __call__(self, query: Vectors, key: Vectors, mask: Mask) -> Weights:
        """The weights of all tokens j (last dimension) for each token i."""


@dataclass(frozen=True, slots=True)
class SquaredReLU(AttentionMap):
    """A = relu(Q K^T)^2 / (n s), n the number of tokens that are not masked, s the key dimension.

    The products are divided by sqrt(n s) before they are squared, which keeps them within half precision.
    Source: kexue.fm/archives/8934; the appendix of Hua et al. divides by n^2 instead.
    """

    def __call__(self, query: Vectors, key: Vectors, mask: Mask) -> Weights:
        shrink = (_num_tokens(mask, query) * query.shape[-1]).rsqrt().to(query.dtype)
        kept = key * mask.unsqueeze(-1)
        return torch.relu(query * shrink @ kept.mT).square()


@dataclass(frozen=True, slots=True)
class Softmax(AttentionMap):
    """A = softmax(Q K^T / sqrt(s)), s the key dimension."""

    def __call__(self, query: Vectors, key: Vectors, mask: Mask) -> Weights:
        return _masked_softmax(query * query.shape[-1] ** -0.5 @ key.mT, mask)


@dataclass(frozen=True, slots=True)
class EntropyInvariantSoftmax(AttentionMap):
    """A = softmax(log_m(n) Q K^T / sqrt(s)): attention spreads no further as the number of tokens n grows.

    `length` m is the length at which it is the ordinary softmax. Texts shorter than `shortest` tokens count
    as that long. Source: kexue.fm/archives/8823, 9019.
    """

    length: int = 512
    shortest: int = 16

    def __call__(self, query: Vectors, key: Vectors, mask: Mask) -> Weights:
        growth = _num_tokens(mask, query).clamp(min=self.shortest).log() / math.log(self.length)
        return _masked_softmax(query * (growth * query.shape[-1] ** -0.5).to(query.dtype) @ key.mT, mask)


ATTENTION_MAPS: dict[str, type[AttentionMap]] = {
    "squared_relu": SquaredReLU,
    "softmax": Softmax,
    "entropy_invariant_softmax": EntropyInvariantSoftmax,
}


class GatedAttentionUnit(nn.Module):
    """O = (U * A V) W_o, with rotary positions and without biases: 3 d e + d s + 4 s parameters.

    Weights begin as N(0, 1 / fan-in) (LeCun), scales as 1, offsets as 0.
    """

    def __init__(
        self,
        dim: int,
        *,
        expansion: int = 2,
        key_dim: int = 128,
        attention: AttentionMap | None = None,
        dropout: float = 0.0,
        rotary_base: float = 10000.0,
    ) -> None:
        """A unit for states of width d = `dim`.

        Args:
            dim: width d of the states.
            expansion: e / d, the width of U and V against the states'.
            key_dim: width s of queries and keys; even.
            attention: how queries and keys become weights; `SquaredReLU()` where left out.
            dropout: share of the weights A set to zero in training.
            rotary_base: base of the rotary angles.
        """
        super().__init__()
        inner = expansion * dim
        self.widths = [inner, inner, key_dim]
        self.rotary_base = rotary_base
        self.attention = SquaredReLU() if attention is None else attention
        self.input = nn.Linear(dim, sum(self.widths), bias=False)
        self.scale = nn.Parameter(torch.ones(2, key_dim))
        self.offset = nn.Parameter(torch.zeros(2, key_dim))
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(inner, dim, bias=False)
        for linear in (self.input, self.output):
            nn.init.normal_(linear.weight, std=linear.in_features**-0.5)

    def forward(
        self,
        x: Float[Tensor, "batch seq dim"],
        mask: Bool[Tensor, "batch seq"] | None = None,
        places: Shaped[Tensor, "seq axes"] | None = None,
    ) -> Float[Tensor, "batch seq dim"]:
        """Mix the states of each text; `mask` is True for its tokens, all where left out.

        `places` are the tokens' coordinates in a grid, as of the patches of an image; in a text they are left out.
        What comes out at masked places means nothing, and nothing there reaches the other places.
        """
        if mask is None:
            mask = torch.ones(x.shape[:-1], dtype=torch.bool, device=x.device)
        u, v, z = torch.split(nn.functional.silu(self.input(x)), self.widths, dim=-1)
        query, key = self._turn(self._queries_and_keys(z), places).unbind()
        a = self.dropout(self.attention(query, key, mask))
        out: Tensor = self.output(u * (a @ v))
        return out

    def _turn(self, vectors: Tensor, places: Tensor | None) -> Tensor:
        if places is None:
            return rotary(vectors, base=self.rotary_base)
        return rotary_grid(vectors, places, base=self.rotary_base)

    def _queries_and_keys(self, z: Vectors) -> Float[Tensor, "2 batch seq key_dim"]:
        return z * self.scale[:, None, None] + self.offset[:, None, None]


def _num_tokens(mask: Mask, vectors: Vectors) -> Float[Tensor, "batch 1 1"]:
    """How many tokens each text has, at least one; in float32 at least, as half precision cannot count."""
    return mask.sum(-1).clamp(min=1).to(exact_dtype(vectors))[:, None, None]


def _masked_softmax(scores: Weights, mask: Mask) -> Weights:
    """Softmax over the kept tokens; a text without any gets equal weights instead of NaN."""
    lowest = torch.finfo(scores.dtype).min
    return scores.masked_fill(~mask.unsqueeze(-2), lowest).softmax(-1)
