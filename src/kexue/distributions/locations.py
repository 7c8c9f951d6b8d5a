"""Locations as the algorithms see them: relative to the largest of their row, and no deeper than counts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

BLOCK = 2**16
"""Locations handled at a time, so that what is computed on the way is small beside a large batch."""


@dataclass(frozen=True)
class Locations:
    """`mu` [rows, n] as given, -inf where absent; `top` and `low` [rows, 1]: the largest, and the least less it.

    What is relative is computed in the dtype of `low`. Locations more than `reach` below the largest are moved up
    to there; `moved` and `absent` tell whether any are.
    """

    mu: Tensor
    top: Tensor
    low: Tensor
    moved: bool
    absent: bool

    @classmethod
    def of(cls, mu: Tensor, reach: float) -> Locations:
        """With what the algorithms ask, found once."""
        top, bottom = mu.amax(-1, keepdim=True), mu.amin(-1, keepdim=True)
        absent = bool((bottom == -torch.inf).any())
        if absent:
            bottom = torch.where(mu == -torch.inf, torch.inf, mu).amin(-1, keepdim=True)
        low, reach = bottom - top, min(reach, torch.finfo(mu.dtype).max)
        kept = low.clamp(min=-reach)
        return cls(mu, top, kept, not kept.equal(low), absent)

    def blocks(self) -> Iterator[slice]:
        """Rows to be handled together."""
        return row_blocks(self.mu)

    def relative(self, rows: slice = slice(None)) -> Tensor:
        """Between `low` and 0; an absent class is put at `low`, to be left out by `masked`."""
        relative = self.mu[rows].to(self.low) - self.top[rows].to(self.low)
        return torch.maximum(relative, self.low[rows], out=relative) if self.moved or self.absent else relative

    def masked(self, values: Tensor, absent: float, rows: slice = slice(None)) -> Tensor:
        """Values of the classes, [rows, n], with another one where the class is absent."""
        return values.masked_fill(self.mu[rows] == -torch.inf, absent) if self.absent else values

    def counts(self, rows: slice = slice(None)) -> Tensor:
        """1 for each class, 0 for an absent one."""
        ones = self.low.new_ones(1, 1).expand_as(self.mu[rows])
        return self.masked(ones, 0.0, rows)


def row_blocks(mu: Tensor) -> Iterator[slice]:
    """Rows that hold at most BLOCK locations together, or one row."""
    height = max(1, BLOCK // mu.shape[1])
    for first in range(0, mu.shape[0], height):
        yield slice(first, first + height)


def pack(mask: Tensor) -> tuple[Tensor, Tensor]:
    """Where a mask [rows, n] is true: indices [rows, k], filled up with 0, and which of them are meant."""
    if not mask.shape[1]:
        return mask.long(), mask
    row, column = mask.nonzero(as_tuple=True)
    counts = torch.bincount(row, minlength=mask.shape[0])
    place = torch.arange(len(row), device=mask.device) - (counts.cumsum(0) - counts)[row]
    index = torch.zeros(mask.shape[0], int(counts.amax()), dtype=torch.long, device=mask.device)
    index[row, place] = column
    return index, torch.arange(index.shape[1], device=mask.device) < counts[:, None]
