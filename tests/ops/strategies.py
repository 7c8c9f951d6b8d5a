"""Random problems for the losses: any shape, mask, labels and magnitude, with the corners drawn often."""

from __future__ import annotations

from typing import NamedTuple

import torch
from hypothesis import strategies as st
from tests.reference.multilabel import classes
from torch import Tensor


class Problem(NamedTuple):
    batch: int
    num_labels: int
    seq: int
    mask: Tensor
    ordered: bool
    positives: Tensor
    scale: float
    seed: int

    def uniform(self, *shape: int) -> Tensor:
        """Numbers between -scale and scale, another draw for another shape."""
        generator = torch.Generator().manual_seed(self.seed + len(shape) + shape[-1])
        return (torch.rand(shape, generator=generator) * 2 - 1) * self.scale

    def factors(self) -> tuple[Tensor, Tensor, Tensor]:
        row, column = self.uniform(2, self.batch, self.num_labels, self.seq).unbind(0)
        return self.uniform(self.batch, self.seq, self.seq), row, column

    def query_key(self, dim: int = 4) -> tuple[Tensor, Tensor]:
        """Scores up to about `scale`."""
        query, key = self.uniform(2, self.batch, self.num_labels, self.seq, dim).unbind(0)
        return query / (dim * max(self.scale, 1)) ** 0.5, key / (dim * max(self.scale, 1)) ** 0.5


@st.composite
def problems(draw: st.DrawFn, scales: tuple[float, ...] = (0.0, 0.1, 3.0, 20.0, 60.0)) -> Problem:
    batch, num_labels, seq = draw(st.integers(1, 3)), draw(st.integers(1, 4)), draw(st.integers(1, 9))
    ordered, seed = draw(st.booleans()), draw(st.integers(0, 10_000))
    mask = torch.tensor(
        draw(st.lists(st.lists(st.booleans(), min_size=seq, max_size=seq), min_size=batch, max_size=batch))
    )
    if draw(st.booleans()):
        mask = torch.ones_like(mask)
    pairs = classes(mask, ordered=ordered)[:, None].expand(batch, num_labels, seq, seq).nonzero()
    count = draw(st.integers(0, 12)) if len(pairs) else 0
    chosen = torch.tensor([draw(st.integers(0, len(pairs) - 1)) for _ in range(count)], dtype=torch.long)
    return Problem(batch, num_labels, seq, mask, ordered, pairs[chosen], draw(st.sampled_from(scales)), seed)
