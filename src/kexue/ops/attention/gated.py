"""The gated attention unit between its two projections, with a backward pass that keeps what it must.

    H = X W_i = [H_u, H_v, H_z],   U, V, Z = silu(H_u), silu(H_v), silu(H_z)
    Q, K = rotary(scale * Z + offset),   O = (U * A V) W_o

H and A V are kept for the backward pass; U, V, Z, Q, K, A and U * A V are computed again, which costs as much as
a few exponentials and Q K^T. What autograd would keep is more than twice as much, and n x n numbers besides.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from kexue.ops.attention.attention import Attention, Dropout, Vectors
from kexue.ops.attention.streamed import text_blocks
from kexue.ops.precision import exact_dtype, without_autocast
from kexue.ops.rotary import Turns, turn

Affine = Float[Tensor, "roles key_dim"]
"""Scales or offsets that make the queries and keys of Z, a row for each role."""


def gated_attention(
    hidden: Float[Tensor, "texts seq hidden"],
    scale: Affine,
    offset: Affine,
    output: Float[Tensor, "dim inner"],
    attention: Attention,
    turns: Turns,
    mask: Bool[Tensor, "texts seq"] | None = None,
    *,
    rate: float = 0.0,
    seeds: Int[Tensor, " texts"] | None = None,
) -> Float[Tensor, "texts seq dim"]:
    """O, given H = X W_i.

    Args:
        hidden: H, in whose last dimension H_u, H_v and H_z lie one after the other.
        scale, offset: what makes queries and keys of Z.
        output: W_o transposed, as a linear layer has it; of the dtype of `hidden`.
        attention: how values are mixed.
        turns: the rotary turn of each place.
        mask: True for the tokens of each text; all where left out.
        rate: share of the attention weights that fall, chosen by the `seeds` of the texts; no dropout without seeds.
    """
    out: Tensor = _Gated.apply(  # type: ignore[no-untyped-call]
        hidden, scale, offset, output, *turns, mask, seeds, attention, rate
    )
    return out


class _Gated(torch.autograd.Function):
    """The unit as one operation, a few texts at a time."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        scale: Tensor,
        offset: Tensor,
        output: Tensor,
        cos: Tensor,
        sin: Tensor,
        mask: Tensor | None,
        seeds: Tensor | None,
        attention: Attention,
        rate: float,
    ) -> Tensor:
        dim, inner = output.shape
        mixed = hidden.new_empty(*hidden.shape[:2], inner)
        out = hidden.new_empty(*hidden.shape[:2], dim)
        with without_autocast(hidden):
            for some in text_blocks(hidden):
                u, v, z = _parts(nn.functional.silu(hidden[some]), inner)
                vectors = _vectors(z, scale, offset, Turns(cos, sin))
                mixed[some] = attention.mix(vectors, v, _of(mask, some), _dropout(rate, seeds, some))
                out[some] = (u * mixed[some]) @ output.mT
        ctx.save_for_backward(hidden, scale, offset, output, cos, sin, mask, seeds, mixed)
        ctx.attention, ctx.rate = attention, rate
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        given = gradient, *ctx.saved_tensors, ctx.attention, ctx.rate
        if torch.compiler.is_compiling():  # which traces no function of torch's within another's backward pass
            return *_pull(*given), *(None,) * 6
        pulled: tuple[Tensor, ...] = _Pull.apply(*given)  # type: ignore[no-untyped-call]
        return *pulled, *(None,) * 6


class _Pull(torch.autograd.Function):
    """The backward pass as an operation of its own: many gradients (`torch.func.vmap`) go through it one by one."""

    @staticmethod
    def forward(gradient: Tensor, *rest: Any) -> tuple[Tensor, ...]:
        return _pull(gradient, *rest)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        """Nothing is kept, as it is not differentiated again."""

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], gradient: Tensor, *rest: Any) -> tuple[Any, ...]:
        pulled = [_pull(each, *rest) for each in gradient.unbind(in_dims[0] or 0)]
        stacked = tuple(torch.stack(parts) for parts in zip(*pulled, strict=True))
        return stacked, (0,) * len(stacked)


def _pull(
    gradient: Tensor,
    hidden: Tensor,
    scale: Tensor,
    offset: Tensor,
    output: Tensor,
    cos: Tensor,
    sin: Tensor,
    mask: Tensor | None,
    seeds: Tensor | None,
    mixed: Tensor,
    attention: Attention,
    rate: float,
) -> tuple[Tensor, ...]:
    """The gradients of H, of the scales and offsets, and of W_o, given that of O."""
    d_hidden, d_output = torch.empty_like(hidden), torch.zeros_like(output, dtype=exact_dtype(output))
    d_scale, d_offset = torch.zeros_like(scale), torch.zeros_like(offset)
    with without_autocast(hidden):
        for some in text_blocks(hidden):
            h_u, h_v, h_z = _parts(hidden[some], output.shape[1])
            d_u, d_v, d_z = _parts(d_hidden[some], output.shape[1])
            d_av = _pull_gate(gradient[some], mixed[some], h_u, output, d_output, d_u)
            z = nn.functional.silu(h_z)
            d_vectors, d_value = attention.pull(
                _vectors(z, scale, offset, Turns(cos, sin)),
                nn.functional.silu(h_v),
                _of(mask, some),
                _dropout(rate, seeds, some),
                mixed[some],
                d_av,
            )
            _pull_silu(d_value, h_v, d_v)
            d_affine = turn(d_vectors.to(scale.dtype), Turns(cos, -sin))
            d_scale += (d_affine * z).sum((1, 2))
            d_offset += d_affine.sum((1, 2))
            _pull_silu((d_affine * scale[:, None, None]).sum(0).to(h_z.dtype), h_z, d_z)
    return d_hidden, d_scale, d_offset, d_output.to(output.dtype)


def _pull_gate(gradient: Tensor, mixed: Tensor, h_u: Tensor, output: Tensor, d_output: Tensor, d_u: Tensor) -> Tensor:
    """Through (U * A V) W_o: adds to the gradient of W_o, writes that of H_u, and returns that of A V.

    Few tensors as wide as U exist here at a time, as each is a quarter of what a layer keeps.
    """
    u = nn.functional.silu(h_u)
    d_output += gradient.flatten(0, 1).mT @ (u * mixed).flatten(0, 1)
    d_gated = gradient @ output
    d_mixed = u.mul_(d_gated)
    _pull_silu(d_gated.mul_(mixed), h_u, d_u)
    return d_mixed


def _pull_silu(gradient: Tensor, h: Tensor, d_h: Tensor) -> None:
    """Writes the gradient of h, given that of silu(h)."""
    d_h.copy_(torch.ops.aten.silu_backward(gradient, h))


def _parts(x: Tensor, inner: int) -> tuple[Tensor, Tensor, Tensor]:
    """The parts for U, V and Z of the last dimension."""
    u, v, z = x.split([inner, inner, x.shape[-1] - 2 * inner], dim=-1)
    return u, v, z


def _vectors(z: Tensor, scale: Tensor, offset: Tensor, turns: Turns) -> Vectors:
    """Queries and keys of all roles."""
    return turn(z * scale[:, None, None] + offset[:, None, None], turns).to(z.dtype)


def _of(mask: Tensor | None, some: slice) -> Tensor | None:
    return None if mask is None else mask[some]


def _dropout(rate: float, seeds: Tensor | None, some: slice) -> Dropout | None:
    return None if seeds is None else Dropout(rate, seeds[some])
