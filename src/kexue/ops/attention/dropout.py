"""Dropout of attention weights from a counter: which weights fall is a function of seed, row and column.

Nothing is kept for the backward pass, which computes the same choice again, and it does not matter into which
blocks the matrix is cut. A hash of 32 bits takes a sixth of the time of torch's Bernoulli numbers on a CPU.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

ROW, COLUMN, MIX = 0x2545F491, 0x3C6EF372, 0x45D9F3B
"""Odd numbers that spread bits by multiplication."""


def draw_seeds(num_texts: int, device: torch.device) -> Int[Tensor, " texts"]:
    """One seed for each text, from torch's own generator of the device."""
    return torch.randint(2**31 - 1, (num_texts,), dtype=torch.int32, device=device)


def split_seeds(seeds: Int[Tensor, " texts"], num_parts: int) -> Int[Tensor, " all_parts"]:
    """Seeds of the parts of each text, text by text."""
    parts = torch.arange(num_parts, dtype=torch.int32, device=seeds.device)
    return _spread(seeds[:, None] + parts * COLUMN).flatten()


def dropped(
    seeds: Int[Tensor, " texts"], rows: slice, num_columns: int, rate: float
) -> Bool[Tensor, "texts rows columns"]:
    """Where weights fall: each with probability `rate`."""
    places = torch.arange(rows.start, rows.stop, dtype=torch.int32, device=seeds.device)
    columns = torch.arange(num_columns, dtype=torch.int32, device=seeds.device)
    bits = _spread(seeds[:, None] + places * ROW).unsqueeze(-1) + _spread(columns * COLUMN)
    # A last round for each pair; its highest bits, on which the comparison depends, are mixed best.
    return (bits ^ (bits >> 16)) * MIX < int(rate * 2**32) - 2**31


def thin(
    weights: Float[Tensor, "texts rows columns"], seeds: Int[Tensor, " texts"], rows: slice, rate: float
) -> Float[Tensor, "texts rows columns"]:
    """Weights with those that fall set to 0 and the others divided by the share that stays; in place."""
    return weights.masked_fill_(dropped(seeds, rows, weights.shape[-1], rate), 0).mul_(1 / (1 - rate))


def _spread(bits: Int[Tensor, "*shape"]) -> Int[Tensor, "*shape"]:
    """Every bit of the result depends on every bit given."""
    for _ in range(2):
        bits = (bits ^ (bits >> 16 & 0xFFFF)) * MIX
    return bits ^ (bits >> 16 & 0xFFFF)
