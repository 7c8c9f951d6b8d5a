"""Linear attention, Q (K^T V) / n: by associativity no n x n matrix is needed, as nothing is squared or raised.

    bidirectional   O_i = 1/n Q_i sum_j K_j^T V_j
    causal          O_g = 1/n Q_g sum_{h<g} K_h^T V_h      for chunks g; n the number of tokens in the chunks h < g

The causal form sees whole chunks that came before; what happens within a chunk is left to another attention. K^T V is
computed again in the backward pass. The article's causal form divides by (g - 1) n / c, which cannot be meant, and Hua
et al. 2022 by c. Source: Katharopoulos et al. 2020; kexue.fm/archives/8934.
"""

from __future__ import annotations

from jaxtyping import Bool, Float
from torch import Tensor, nn

from kexue.ops.precision import exact_dtype

Keys = Float[Tensor, "texts chunks size key_dim"]
Values = Float[Tensor, "texts chunks size inner"]
Tables = Float[Tensor, "texts chunks key_dim inner"]
Mask = Bool[Tensor, "texts chunks size"]


def mix(query: Keys, key: Keys, value: Values, mask: Mask, *, causal: bool) -> Values:
    """O; where not causal, a text is one chunk."""
    return query @ _seen(_kept(key, mask).mT @ value, mask, causal=causal)


def pull(
    query: Keys, key: Keys, value: Values, mask: Mask, gradient: Values, *, causal: bool
) -> tuple[Keys, Keys, Values]:
    """The gradients in queries, keys and values."""
    key = _kept(key, mask)
    tables = _seen(key.mT @ value, mask, causal=causal)
    d_tables = _seen_backward(query.mT @ gradient, mask, causal=causal)
    return gradient @ tables.mT, _kept(value @ d_tables.mT, mask), key @ d_tables


def _seen(tables: Tables, mask: Mask, *, causal: bool) -> Tables:
    """For each chunk, the sum of the tables it sees over the number of tokens in them."""
    exact = tables.to(exact_dtype(tables))
    total = _before(exact) if causal else exact
    return (total / _num_seen(mask, exact, causal=causal)).to(tables.dtype)


def _seen_backward(d_seen: Tables, mask: Mask, *, causal: bool) -> Tables:
    exact = d_seen.to(exact_dtype(d_seen))
    shares = exact / _num_seen(mask, exact, causal=causal)
    return (_before(shares.flip(1)).flip(1) if causal else shares).to(d_seen.dtype)


def _num_seen(mask: Mask, tables: Tables, *, causal: bool) -> Float[Tensor, "texts chunks 1 1"]:
    n = mask.sum(-1).to(tables.dtype)[..., None, None]
    return (_before(n) if causal else n).clamp(min=1)


def _before(x: Float[Tensor, "texts chunks rows columns"]) -> Float[Tensor, "texts chunks rows columns"]:
    """The sum over the chunks before each one; nothing of a chunk itself enters, not even by rounding."""
    return nn.functional.pad(x[:, :-1].cumsum(1), (0, 0, 0, 0, 1, 0))


def _kept(x: Keys, mask: Mask) -> Keys:
    return x * mask.unsqueeze(-1)
