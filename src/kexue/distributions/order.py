"""Locations in ascending order, and sums that decay along it.

    up      T_k = v_k + exp(-f_k) T_{k-1}
    down    T_k = v_k + exp(-f_{k+1}) T_{k+1},    f_k >= 0

A running sum of v_k exp(f_1 + ... + f_k) would leave the range of a float64 after 700 nats. Here the locations are cut
into short stretches with a running sum each, and the stretches are joined by the same recursion among their ends.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

STRETCH = 16
"""Numbers in one running sum."""
STEEPEST = 40.0
"""Nats that a sum falls by in one step at most; more makes no difference to a float64. 16 steps stay in its range."""
LONG_ROW = 2**15
"""Numbers from which on torch has a radix sort for one row of integers, ten times as fast as its sort of floats."""
BITS = {torch.float32: torch.int32, torch.float64: torch.int64}


@dataclass(frozen=True)
class Decays:
    """exp(f) as running products within the stretches, [..., C, S], how much is left from the end of one stretch to
    the first of the next, [..., C], and the same among the stretches."""

    growth: Tensor
    step: Tensor
    stretches: Decays | None

    @classmethod
    def of(cls, falls: Tensor) -> Decays:
        """For f [..., n] in float64; the first makes no difference."""
        falls = _cut(falls.clamp(max=STEEPEST))
        first = falls[..., 0].clone()
        falls[..., 0] = 0.0
        growth = falls.cumsum(-1)
        stretches = cls.of(growth[..., -1] + first) if growth.shape[-2] > 1 else None
        return cls(growth.exp_(), torch.exp(-first), stretches)

    def up(self, values: Tensor) -> Tensor:
        """T of v [..., n], from the first on."""
        sums = (_cut(values) * self.growth).cumsum_(-1)
        if self.stretches:
            ends = self.stretches.up(sums[..., -1] / self.growth[..., -1])
            sums += (pad(ends[..., :-1], (1, 0)) * self.step)[..., None]
        total: Tensor = sums.div_(self.growth).flatten(-2)[..., : values.shape[-1]]
        return total

    def down(self, values: Tensor) -> Tensor:
        """T of v [..., n], from the last on."""
        sums = (_cut(values) / self.growth).flip(-1).cumsum_(-1).flip(-1)
        if self.stretches:
            starts = self.stretches.down(pad((sums[..., 0] * self.step)[..., 1:], (0, 1)))
            sums += (starts / self.growth[..., -1])[..., None]
        total: Tensor = sums.mul_(self.growth).flatten(-2)[..., : values.shape[-1]]
        return total


def ascending(values: Tensor) -> tuple[Tensor, Tensor]:
    """Each row of [rows, n] sorted, and the indices of it: by the bits of the numbers, in order as integers."""
    keys = _in_order(values.view(BITS[values.dtype]))
    if values.shape[1] < LONG_ROW:
        keys, index = keys.sort(dim=-1)
    else:
        keys, index = (torch.stack(own) for own in zip(*(row.sort() for row in keys), strict=True))
    return _in_order(keys).view(values.dtype), index


def _in_order(bits: Tensor) -> Tensor:
    """Those of negative numbers turned round but for the sign; its own inverse."""
    return bits ^ ((bits >> (8 * bits.element_size() - 1)) & torch.iinfo(bits.dtype).max)


def _cut(values: Tensor) -> Tensor:
    """[..., n] in stretches, [..., C, S], the last filled up with 0."""
    rest = -values.shape[-1] % STRETCH
    stretches: Tensor = (pad(values, (0, rest)) if rest else values).unflatten(-1, (-1, STRETCH))
    return stretches
