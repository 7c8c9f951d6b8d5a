"""GlobalPointer: score every (start, end) pair of tokens for every label by a product of rotated projections.

    GlobalPointer            s_h(i, j) = (R_i q_hi) . (R_j k_hj) / sqrt(d)
    EfficientGlobalPointer   s_h(i, j) = (R_i q_i) . (R_j k_j) / sqrt(d) + row_h(i) + column_h(j)

A label costs 2 (D+1) d parameters in the first and 2 (2d+1) in the second, with D the width of the encoder
and d that of the head. Source: Su, kexue.fm/archives/8373 (2021) and 8877 (2022), and bert4keras.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from kexue.layers.linear import linear
from kexue.layers.token_pair_scores import FactorizedScores, ProductScores
from kexue.ops.precision import exact_dtype, without_autocast
from kexue.ops.rotary import rotary

TRUNCATED_STD = 0.87962566103423978
"""Standard deviation of a standard normal cut at -2 and 2."""


class GlobalPointer(nn.Module):
    """A query and a key for every label: hidden [batch, seq, hidden_dim] -> `ProductScores`.

    `rotary` makes the scores depend on the distance of the two ends, which spans need and relations do not;
    `ordered` leaves only start <= end. Computes in float32 also under autocast. Source: archives/8373.
    """

    def __init__(
        self,
        hidden_dim: int,
        num_labels: int,
        head_dim: int = 64,
        *,
        rotary: bool = True,
        ordered: bool = False,
    ) -> None:
        super().__init__()
        self.num_labels, self.head_dim = num_labels, head_dim
        self.rotary, self.ordered = rotary, ordered
        self.project = _lecun_linear(hidden_dim, num_labels * 2 * head_dim)

    def forward(self, hidden: Float[Tensor, "batch seq hidden_dim"]) -> ProductScores:
        with without_autocast(hidden):
            projected = _linear(self.project, hidden)
            heads = projected.reshape(*hidden.shape[:2], self.num_labels, 2, self.head_dim)
            query, key = heads.permute(3, 0, 2, 1, 4).unbind(0)
            query, key = _place(query, key, rotated=self.rotary)
        return ProductScores(query, key, ordered=self.ordered)


class EfficientGlobalPointer(nn.Module):
    """One query and one key for all labels: hidden [batch, seq, hidden_dim] -> `FactorizedScores`.

    Extraction is shared; a label adds a linear function of the unrotated [q; k] of the start, and one of the
    end, halved as in the reference code. Options and precision as in `GlobalPointer`. Source: archives/8877.
    """

    def __init__(
        self,
        hidden_dim: int,
        num_labels: int,
        head_dim: int = 64,
        *,
        rotary: bool = True,
        ordered: bool = False,
    ) -> None:
        super().__init__()
        self.num_labels, self.head_dim = num_labels, head_dim
        self.rotary, self.ordered = rotary, ordered
        self.project = _lecun_linear(hidden_dim, 2 * head_dim)
        self.row = _lecun_linear(2 * head_dim, num_labels)
        self.column = _lecun_linear(2 * head_dim, num_labels)

    def forward(self, hidden: Float[Tensor, "batch seq hidden_dim"]) -> FactorizedScores:
        with without_autocast(hidden):
            projected = _linear(self.project, hidden)
            row = _linear(self.row, projected).mT / 2
            column = _linear(self.column, projected).mT / 2
            query, key = _place(*projected.chunk(2, dim=-1), rotated=self.rotary)
        return FactorizedScores(query, key, row, column, ordered=self.ordered)


def _place(query: Tensor, key: Tensor, *, rotated: bool) -> tuple[Tensor, Tensor]:
    """Scale the query by 1/sqrt(d) and turn both by their positions."""
    query = query / math.sqrt(query.shape[-1])
    return (rotary(query), rotary(key)) if rotated else (query, key)


def _linear(layer: nn.Linear, x: Tensor) -> Tensor:
    """W x + b in float32 at least, also where the weights were cast to half precision."""
    dtype = exact_dtype(x, layer.weight)
    return nn.functional.linear(x.to(dtype), layer.weight.to(dtype), layer.bias.to(dtype))


def _lecun_linear(in_dim: int, out_dim: int) -> nn.Linear:
    """Weights normal with variance 1/in_dim, cut at two deviations as Keras does; biases zero."""
    layer = linear(in_dim, out_dim)
    cut = 2 / math.sqrt(in_dim) / TRUNCATED_STD
    with torch.no_grad():
        nn.init.trunc_normal_(layer.weight, std=cut / 2, a=-cut, b=cut)
        nn.init.zeros_(layer.bias)
    return layer
