"""Masked characters of real text: the English sentences that come with the package, a fifth of them hidden."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from kexue.data import demo_path

IGNORED = -100
HIDDEN, UNKNOWN = 1, 2
"""Characters that stand for a hidden and for a rare one; 0 is padding, which there is none of here."""
NUM_SPECIAL = 3


class Batches(NamedTuple):
    """All batches of a training: ids and labels, long[steps, batch, length]."""

    ids: Tensor
    labels: Tensor

    def to(self, device: torch.device) -> Batches:
        """On another device."""
        return Batches(self.ids.to(device), self.labels.to(device))


@dataclass(frozen=True)
class Text:
    """A text as numbers of characters."""

    ids: Tensor
    vocab_size: int

    def batches(self, steps: int, batch_size: int, length: int, seed: int, share: float = 0.2) -> Batches:
        """Stretches from random places, of whose characters a share is hidden and to be found."""
        generator = torch.Generator().manual_seed(seed)
        first = torch.randint(len(self.ids) - length, (steps, batch_size, 1), generator=generator)
        ids = self.ids[first + torch.arange(length)]
        hidden = torch.rand(ids.shape, generator=generator) < share
        return Batches(ids.masked_fill(hidden, HIDDEN), ids.masked_fill(~hidden, IGNORED))

    def entropy(self) -> float:
        """Of a character without context, in nats: the loss of a model that has learnt the frequencies alone."""
        share = torch.bincount(self.ids).double() / len(self.ids)
        return -torch.special.xlogy(share, share).sum().item()


def read_text(vocab_size: int = 64) -> Text:
    """The training sentences of the demo, of whose characters the most frequent ones are kept."""
    with gzip.open(demo_path("phee", "train"), "rt", encoding="utf-8") as file:
        text = "\n".join(json.loads(line)["text"] for line in file)
    common = [character for character, _ in Counter(text).most_common(vocab_size - NUM_SPECIAL)]
    numbers = {character: NUM_SPECIAL + number for number, character in enumerate(common)}
    return Text(torch.tensor([numbers.get(character, UNKNOWN) for character in text]), vocab_size)
