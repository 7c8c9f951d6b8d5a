"""Rotary positions: turn each pair of channels by an angle that grows with the position.

    (x_{2k}, x_{2k+1})  ->  (x_{2k} cos t - x_{2k+1} sin t,  x_{2k+1} cos t + x_{2k} sin t)
    t = position * base^(-2k/dim)

A turn is orthogonal, so the product of a turned query and a turned key depends on the difference of their
positions only: (R_i q) . (R_j k) = q . R_{j-i} k. Source: Su, kexue.fm/archives/8265 (2021).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from kexue.ops.precision import exact_dtype


class Turns(NamedTuple):
    """Cosine and sine of the angle of each pair of channels at each place; with -sin they turn back."""

    cos: Float[Tensor, "*batch seq pairs"]
    sin: Float[Tensor, "*batch seq pairs"]


def rotary(
    x: Float[Tensor, "*batch seq dim"],
    positions: Shaped[Tensor, "*#batch seq"] | None = None,
    *,
    base: float = 10000.0,
) -> Float[Tensor, "*batch seq dim"]:
    """Turn the channels (2k, 2k+1) of every vector by its position times base^(-2k/dim).

    `positions` are the places of the vectors in their text, 0, 1, 2, ... where left out; they may have the
    leading dimensions of `x` or none. Angles are float32 (float64 for a float64 `x`) whatever the precision
    of `x`: bfloat16 would round the positions themselves from 257 on. The result has the dtype of `x`.

    Raises ValueError where `dim` is odd.
    """
    if positions is None:
        positions = torch.arange(x.shape[-2], device=x.device)
    return turn(x, rotary_turns(positions, x.shape[-1], base=base, dtype=exact_dtype(x)))


def rotary_turns(
    positions: Shaped[Tensor, "*batch seq"], dim: int, *, base: float = 10000.0, dtype: torch.dtype = torch.float32
) -> Turns:
    """The turns of vectors of width `dim` at positions in a text; raises ValueError where `dim` is odd."""
    if dim % 2:
        raise ValueError(f"rotary positions turn pairs of channels, so dim must be even, got dim={dim}")
    exponents = torch.arange(0, dim, 2, dtype=dtype, device=positions.device) / dim
    angles = positions.to(dtype)[..., None] * torch.pow(base, -exponents)
    return Turns(angles.cos(), angles.sin())


def grid_turns(
    places: Shaped[Tensor, "seq axes"], dim: int, *, base: float = 10000.0, dtype: torch.dtype = torch.float32
) -> Turns:
    """The turns of vectors of width `dim` at places in a grid: each coordinate turns an equal share of the channels.

    The product of two turned vectors depends on the differences of their coordinates only (Su,
    kexue.fm/archives/8397, 2021). Raises ValueError where the shares are not even.
    """
    axes = places.shape[-1]
    if dim % axes:
        raise ValueError(f"{axes} coordinates need as many equal shares of the channels, got dim={dim}")
    shares = [rotary_turns(coordinate, dim // axes, base=base, dtype=dtype) for coordinate in places.unbind(-1)]
    return Turns(*(torch.cat(parts, dim=1) for parts in zip(*shares, strict=True)))


def turn(x: Float[Tensor, "*batch seq dim"], turns: Turns) -> Float[Tensor, "*batch seq dim"]:
    """Every pair of channels turned, in the precision of the turns; the result has the dtype of `x`."""
    pairs = x.to(turns.cos.dtype).contiguous().unflatten(-1, (-1, 2))
    if torch.compiler.is_compiling():  # which knows no complex numbers
        even, odd = pairs.unbind(-1)
        turned = torch.stack((even * turns.cos - odd * turns.sin, odd * turns.cos + even * turns.sin), dim=-1)
    else:
        turned = torch.view_as_real(torch.view_as_complex(pairs) * torch.complex(*turns))
    return turned.flatten(-2).to(x.dtype)
