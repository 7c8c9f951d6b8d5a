"""The largest value of any interval in constant time, from tables of the intervals whose lengths are powers of two.

    T_0 = x,    T_{n+1}(i) = max(T_n(i), T_n(i + 2^n)),    max x over [i, j) = max(T_n(i), T_n(j - 2^n)),  2^n <= j - i

Source: Bender and Farach-Colton 2000, "The LCA Problem Revisited", the sparse table.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn


class RangeMaximum:
    """Largest values of intervals of the rows of a matrix; memory log2(seq) times that of the matrix."""

    def __init__(self, values: Float[Tensor, "rows seq"]) -> None:
        levels = [values]
        while 2 ** len(levels) <= values.shape[1]:
            half = 2 ** (len(levels) - 1)
            shifted = nn.functional.pad(levels[-1][:, half:], (0, half), value=-torch.inf)
            levels.append(torch.maximum(levels[-1], shifted))
        self.table = torch.stack(levels)

    def __call__(self, row: Tensor, start: Tensor, stop: Tensor) -> Tensor:
        """The largest of the values start <= k < stop of each row, -inf of none; the three broadcast."""
        length = stop - start
        level = torch.frexp(length.clamp(min=1).double()).exponent.long() - 1
        first = start.clamp(0, self.table.shape[2] - 1)
        last = (stop - 2**level).clamp(0, self.table.shape[2] - 1)
        largest = torch.maximum(self.table[level, row, first], self.table[level, row, last])
        return largest.masked_fill(length <= 0, -torch.inf)
