"""Mixed chunk attention: quadratic within chunks of tokens, linear beyond them; its cost grows with n, not n^2.

    O = A(Q, K) V, A within chunks only  +  Q' (K'^T V) / n

A token has two queries and two keys: Q and K for its chunk, Q' and K' for the text. Causal, the second part sees the
chunks before the token's own. Source: Hua et al. 2022 (FLASH); kexue.fm/archives/8934.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from kexue.ops.attention import linear
from kexue.ops.attention.attention import Attention, Dropout, Mask, Values, Vectors
from kexue.ops.attention.dropout import split_seeds
from kexue.ops.attention.maps import AttentionMap, SquaredReLU


class _Chunks(NamedTuple):
    """Texts cut into chunks, the last one filled up with padding."""

    vectors: Float[Tensor, "roles texts chunks size key_dim"]
    value: Float[Tensor, "texts chunks size inner"]
    mask: Bool[Tensor, "texts chunks size"]

    def as_texts(self) -> tuple[Tensor, Tensor, Tensor]:
        """Vectors of the first pair, values and mask, every chunk a text of its own."""
        return self.vectors[:2].flatten(1, 2), self.value.flatten(0, 1), self.mask.flatten(0, 1)

    def joined(self) -> _Chunks:
        """Every text as one chunk."""
        return _Chunks(*(x.flatten(dim, dim + 1).unsqueeze(dim) for dim, x in zip((2, 1, 1), self, strict=True)))


@dataclass(frozen=True, slots=True)
class MixedChunk(Attention):
    """The map `local` within chunks of `size` tokens, and linear attention beyond."""

    num_roles: ClassVar[int] = 4

    size: int = 256
    local: AttentionMap = field(default_factory=SquaredReLU)

    def mix(self, vectors: Vectors, value: Values, mask: Mask | None, dropout: Dropout | None) -> Values:
        """The sum of both parts; the weights of the linear one never exist, so dropout concerns the local one."""
        chunks = self._cut(vectors, value, mask)
        near = self._map.mix(*chunks.as_texts(), self._divided(dropout, chunks))
        far = linear.mix(*self._far(chunks), causal=self.causal)
        return _text(near, value) + _text(far, value)

    def pull(
        self,
        vectors: Vectors,
        value: Values,
        mask: Mask | None,
        dropout: Dropout | None,
        out: Values,
        gradient: Values,
    ) -> tuple[Vectors, Values]:
        """The gradients of both parts."""
        chunks = self._cut(vectors, value, mask)
        _, d_out, _ = self._cut(vectors, gradient, mask)
        dropout = self._divided(dropout, chunks)
        near = self._map.mix(*chunks.as_texts(), dropout) if self.local.normalised else d_out.flatten(0, 1)
        d_near, d_value = self._map.pull(*chunks.as_texts(), dropout, near, d_out.flatten(0, 1))
        far = self._far(chunks)
        d_query, d_key, d_value_far = linear.pull(*far, d_out.view_as(far[2]), causal=self.causal)
        d_vectors = [_text(d, value) for d in (*d_near, d_query, d_key)]
        return torch.stack(d_vectors), _text(d_value, value) + _text(d_value_far, value)

    @property
    def _map(self) -> AttentionMap:
        return replace(self.local, causal=self.causal)

    def _cut(self, vectors: Vectors, value: Values, mask: Mask | None) -> _Chunks:
        if mask is None:
            mask = torch.ones(value.shape[:2], dtype=torch.bool, device=value.device)
        size = min(self.size, value.shape[1])
        missing = -value.shape[1] % size
        padded = (nn.functional.pad(x, (0, 0, 0, missing)) for x in (vectors, value, mask.unsqueeze(-1)))
        vectors, value, mask = (x.unflatten(-2, (-1, size)) for x in padded)
        return _Chunks(vectors, value, mask.squeeze(-1))

    def _far(self, chunks: _Chunks) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Query, key, values and mask of the linear part."""
        vectors, value, mask = chunks if self.causal else chunks.joined()
        return vectors[2], vectors[3], value, mask

    def _divided(self, dropout: Dropout | None, chunks: _Chunks) -> Dropout | None:
        return None if dropout is None else Dropout(dropout.rate, split_seeds(dropout.seeds, chunks.mask.shape[1]))


def _text(chunks: Tensor, like: Values) -> Tensor:
    """Chunks, in whatever form, as texts without the padding at the end."""
    texts, seq = like.shape[:2]
    return chunks.reshape(texts, -1, chunks.shape[-1])[:, :seq]
