"""A V and its gradients block by block, so that only a block of the n x n weights exists at a time.

    S = Q K^T,   A = f(S),   O = A V                                     forward
    dV = A^T dO,   dS = f'(S) * (dO V^T - D),   dQ = dS K,   dK = dS^T Q   backward, S computed again

f works on a row at a time. Where rows are normalised, A_ij = g(S_ij) / sum_j g(S_ij), f' stands for
g'(S_ij) over that sum, and D_i = dO_i . O_i (Dao et al. 2022); otherwise D = 0.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from kexue.ops.attention.attention import Dropout, Mask, Values
from kexue.ops.attention.dropout import thin
from kexue.ops.precision import exact_dtype

Rows = Float[Tensor, "texts seq key_dim"]
Scores = Float[Tensor, "texts rows columns"]
LARGEST = {"cpu": 2**19, "cuda": 2**25}
"""Weights in a block: on a CPU what its cache holds, elsewhere what keeps it busy."""


@runtime_checkable
class RowMap(Protocol):
    """f and f' of a row of scores; both may overwrite the scores."""

    @property
    def normalised(self) -> bool:
        """Whether each row is divided by its sum."""

    def weights(self, scores: Scores) -> Scores:
        """f(S)."""

    def weights_and_slopes(self, scores: Scores) -> tuple[Scores, Scores]:
        """f(S) and f'(S)."""


def blocks(states: Float[Tensor, "texts seq width"]) -> Iterator[tuple[slice, slice]]:
    """Texts and rows of each block: some whole texts, or some rows of one text."""
    seq = states.shape[1]
    for texts in text_blocks(states):
        rows = max(1, _largest(states) // ((texts.stop - texts.start) * seq))
        for row in range(0, seq, rows):
            yield texts, slice(row, min(row + rows, seq))


def text_blocks(states: Float[Tensor, "texts seq width"]) -> Iterator[slice]:
    """As many texts as go into a block, at least one."""
    num_texts, seq, _ = states.shape
    texts = max(1, _largest(states) // seq**2)
    for text in range(0, num_texts, texts):
        yield slice(text, min(text + texts, num_texts))


def _largest(states: Tensor) -> int:
    return LARGEST.get(states.device.type, LARGEST["cuda"])


def mix(
    row_map: RowMap,
    query: Rows,
    key: Rows,
    value: Values,
    mask: Mask | None,
    *,
    causal: bool,
    dropout: Dropout | None,
) -> Values:
    """O = f(Q K^T) V; the queries are scaled already."""
    out = torch.empty_like(value, memory_format=torch.contiguous_format)
    for texts, rows in blocks(query):
        seen = slice(0, rows.stop if causal else query.shape[1])
        weights = row_map.weights(_scores(query, key, mask, texts, rows, causal=causal))
        if dropout is not None:
            weights = thin(weights, dropout.seeds[texts], rows, dropout.rate)
        out[texts, rows] = weights.to(value.dtype) @ value[texts, seen]
    return out


def pull(
    row_map: RowMap,
    query: Rows,
    key: Rows,
    value: Values,
    mask: Mask | None,
    out: Values,
    gradient: Values,
    *,
    causal: bool,
    dropout: Dropout | None,
) -> tuple[Rows, Rows, Values]:
    """The gradients in queries, keys and values."""
    exact = exact_dtype(query)
    d_query = torch.empty_like(query)
    d_key = torch.zeros_like(key, dtype=exact)
    d_value = torch.zeros_like(value, dtype=exact, memory_format=torch.contiguous_format)
    for texts, rows in blocks(query):
        seen = slice(0, rows.stop if causal else query.shape[1])
        weights, slopes = row_map.weights_and_slopes(_scores(query, key, mask, texts, rows, causal=causal))
        d_out = gradient[texts, rows]
        d_weights = d_out @ value[texts, seen].mT
        if dropout is not None:
            weights = thin(weights.clone(), dropout.seeds[texts], rows, dropout.rate)
            d_weights = thin(d_weights, dropout.seeds[texts], rows, dropout.rate)
        if row_map.normalised:
            d_weights -= (d_out.to(exact) * out[texts, rows]).sum(-1, keepdim=True).to(d_weights.dtype)
        d_scores = d_weights.mul_(slopes)
        _add_product(d_value[texts, seen], weights.to(value.dtype).mT, d_out)
        _add_product(d_key[texts, seen], d_scores.mT, query[texts, rows])
        d_query[texts, rows] = d_scores @ key[texts, seen]
    return d_query, d_key.to(key.dtype), d_value.to(value.dtype)


def hide(scores: Scores, mask: Bool[Tensor, "texts columns"] | None, rows: slice, *, causal: bool) -> Scores:
    """Scores, in place, with the lowest number there is where a row must not look.

    The lowest instead of -inf: in a text without tokens softmax then gives equal weights and no NaN.
    """
    lowest = torch.finfo(scores.dtype).min
    if mask is not None:
        scores.masked_fill_(~mask.unsqueeze(-2), lowest)
    if causal:
        num_rows = rows.stop - rows.start
        later = torch.ones(num_rows, num_rows, dtype=torch.bool, device=scores.device).triu(1)
        scores[..., rows.start : rows.stop].masked_fill_(later, lowest)
    return scores


def _scores(query: Rows, key: Rows, mask: Mask | None, texts: slice, rows: slice, *, causal: bool) -> Tensor:
    seen = slice(0, rows.stop if causal else query.shape[1])
    scores = query[texts, rows] @ key[texts, seen].mT
    return hide(scores, None if mask is None else mask[texts, seen], rows, causal=causal)


def _add_product(total: Tensor, left: Tensor, right: Tensor) -> None:
    """total += left @ right; a total of higher precision than the factors keeps it."""
    if total.dtype == left.dtype:
        total.baddbmm_(left, right)
    else:
        total += left @ right
