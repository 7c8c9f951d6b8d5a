"""What every attention of a gated unit can do: mix the values of a text, and take gradients back through it.

    O = A V,      A[i, j] = weight of token j for token i, from queries and keys

An attention is an object without weights. It keeps nothing between the two passes: the backward pass computes A
again, part by part, so no matrix of n x n numbers waits for it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

Vectors = Float[Tensor, "roles texts seq key_dim"]
Values = Float[Tensor, "texts seq inner"]
Mask = Bool[Tensor, "texts seq"]


@dataclass(frozen=True, slots=True)
class Dropout:
    """Of attention weights in training: the share that falls, and a seed for each text."""

    rate: float
    seeds: Int[Tensor, " texts"]


@dataclass(frozen=True, slots=True)
class Attention(ABC):
    """How values are mixed; `causal` lets a token see itself and those before it only."""

    num_roles: ClassVar[int] = 2
    """How many vectors of a token take part: query and key, or those of several pairs one after the other."""

    causal: bool = False

    @abstractmethod
    def mix(self, vectors: Vectors, value: Values, mask: Mask | None, dropout: Dropout | None) -> Values:
        """O = A V; `mask` is True for the tokens of each text, all of them where None."""

    @abstractmethod
    def pull(
        self,
        vectors: Vectors,
        value: Values,
        mask: Mask | None,
        dropout: Dropout | None,
        out: Values,
        gradient: Values,
    ) -> tuple[Vectors, Values]:
        """The gradients in vectors and values, given what `mix` returned and the gradient there."""


def num_visible(
    mask: Mask | None, seq: int, *, causal: bool, like: Tensor, dtype: torch.dtype
) -> Float[Tensor, "#texts #seq 1"]:
    """How many tokens each token sees, at least one; of this dtype, on the device of `like`."""
    if mask is None:
        count = torch.arange(1, seq + 1, device=like.device) if causal else torch.full((1,), seq, device=like.device)
        return count.to(dtype)[None, :, None]
    count = mask.cumsum(-1) if causal else mask.sum(-1, keepdim=True)
    return count.clamp(min=1).to(dtype).unsqueeze(-1)
