"""The gated attention unit between its projections in the plain form, of which autograd keeps everything.

It takes the memory of n x n weights; in return it has derivatives of every order and batches of them, as the likelihood
of a diffusion model needs.
"""

from __future__ import annotations

from jaxtyping import Bool, Float
from torch import Tensor, nn

from kexue.ops.attention.maps import AttentionMap
from kexue.ops.rotary import Turns, turn

Affine = Float[Tensor, "roles key_dim"]


def plain_gated_attention(
    hidden: Float[Tensor, "texts seq hidden"],
    scale: Affine,
    offset: Affine,
    output: Float[Tensor, "dim inner"],
    attention: AttentionMap,
    turns: Turns,
    mask: Bool[Tensor, "texts seq"] | None = None,
    *,
    rate: float = 0.0,
) -> Float[Tensor, "texts seq dim"]:
    """What `gated_attention` gives; `rate` is the share of weights that fall."""
    inner = output.shape[1]
    u, v, z = nn.functional.silu(hidden).split([inner, inner, scale.shape[1]], dim=-1)
    query, key = turn(z * scale[:, None, None] + offset[:, None, None], turns).to(v.dtype).unbind()
    weights = nn.functional.dropout(attention(query, key, mask), rate)
    out: Tensor = (u * (weights @ v)) @ output.mT
    return out
