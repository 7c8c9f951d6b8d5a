"""Rotary positions: turn each pair of channels by an angle that grows with the position.

    (x_{2k}, x_{2k+1})  ->  (x_{2k} cos t - x_{2k+1} sin t,  x_{2k+1} cos t + x_{2k} sin t)
    t = position * base^(-2k/dim)

A turn is orthogonal, so the product of a turned query and a turned key depends on the difference of their
positions only: (R_i q) . (R_j k) = q . R_{j-i} k. Source: Su, kexue.fm/archives/8265 (2021).
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Shaped
from torch import Tensor


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
    if x.shape[-1] % 2:
        raise ValueError(f"rotary positions turn pairs of channels, so dim must be even, got dim={x.shape[-1]}")
    exact = torch.promote_types(x.dtype, torch.float32)
    if positions is None:
        positions = torch.arange(x.shape[-2], device=x.device)
    angles = positions.to(exact)[..., None] * _frequencies(x.shape[-1], base, exact, x.device)
    cos, sin = angles.cos(), angles.sin()
    even, odd = x.to(exact).reshape(*x.shape[:-1], -1, 2).unbind(-1)
    return torch.stack((even * cos - odd * sin, odd * cos + even * sin), dim=-1).flatten(-2).to(x.dtype)


def rotary_grid(
    x: Float[Tensor, "*batch seq dim"], places: Shaped[Tensor, "seq axes"], *, base: float = 10000.0
) -> Float[Tensor, "*batch seq dim"]:
    """Turn an equal share of the channels by each coordinate of the vectors' places in a grid.

    The product of two turned vectors depends on the differences of their coordinates only (Su,
    kexue.fm/archives/8397, 2021).
    """
    parts = zip(x.chunk(places.shape[-1], dim=-1), places.unbind(-1), strict=True)
    return torch.cat([rotary(part, coordinate, base=base) for part, coordinate in parts], dim=-1)


def _frequencies(dim: int, base: float, dtype: torch.dtype, device: torch.device) -> Float[Tensor, " pairs"]:
    exponents = torch.arange(0, dim, 2, dtype=dtype, device=device) / dim
    return torch.pow(base, -exponents)
