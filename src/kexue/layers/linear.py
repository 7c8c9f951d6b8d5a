"""A linear layer that may have no outputs, as a head has where the schema has no labels of a kind."""

from __future__ import annotations

import warnings

from torch import nn


def linear(in_dim: int, out_dim: int, *, bias: bool = True) -> nn.Linear:
    """`nn.Linear` without its warning where there are no weights to fill."""
    with warnings.catch_warnings(action="ignore"):
        return nn.Linear(in_dim, out_dim, bias=bias)
