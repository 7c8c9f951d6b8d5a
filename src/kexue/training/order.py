"""The order in which a training sees its examples depends on (seed, epoch) alone, and every example knows its place.

So a training that is resumed, or split over processes, sees the same batches with the same draws as an unbroken one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from torch.utils.data import Dataset, Sampler


class Place(NamedTuple):
    """Which example, and where it stands: in which epoch, batch and row of the batch."""

    index: int
    epoch: int
    batch: int
    row: int


class Places(Dataset[Place]):
    """Places for what they are; the collator looks up their examples, all of a batch at once."""

    def __init__(self, num_examples: int) -> None:
        self.num_examples = num_examples

    def __len__(self) -> int:
        return self.num_examples

    def __getitem__(self, place: Place) -> Place:
        return place


class EpochOrder(Sampler[Place]):
    """A random order of full batches; the examples that are left over differ from epoch to epoch."""

    def __init__(self, num_examples: int, batch_size: int, seed: int) -> None:
        self.num_examples = num_examples
        self.batch_size = batch_size
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of this epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.num_examples // self.batch_size * self.batch_size

    def __iter__(self) -> Iterator[Place]:
        order = np.random.default_rng((self.seed, self.epoch)).permutation(self.num_examples)
        for position, index in enumerate(order[: len(self)].tolist()):
            yield Place(index, self.epoch, *divmod(position, self.batch_size))
