"""Find the largest of n items by attention: where a map that never gives 0 fades as n grows.

Each item has a priority in [0, 1] and a class; the answer is the class of the item with the highest priority.
One attention head pools the items, weights = map(scores), so the answer is as sharp as the map. Learned at one
length, tested at longer ones (the task of Velickovic et al. 2024, "softmax is not enough").
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from kexue.studies.distributions.contenders import Contender

NUM_CLASSES = 10


@dataclass(frozen=True)
class AttentionTraining:
    """How long to learn, at which length, and at which lengths to test."""

    steps: int
    lengths: Sequence[int]
    length: int = 16
    batch_size: int = 32
    hidden: int = 64
    learning_rate: float = 5e-3
    num_tests: int = 500


@dataclass(frozen=True)
class AttentionOutcome:
    """At one length: shares of right answers, of attention on the right item, of weights that are exactly 0."""

    accuracy: float
    focus: float
    zeros: float


class MaxRetrieval(nn.Module):
    """One head with a learned query over the items' features."""

    def __init__(self, hidden: int, probs: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.items = nn.Sequential(nn.Linear(1 + NUM_CLASSES, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU())
        self.key, self.value = nn.Linear(hidden, 1), nn.Linear(hidden, hidden)
        self.answer = nn.Sequential(nn.ReLU(), nn.Linear(hidden, NUM_CLASSES))
        self.probs = probs

    def forward(self, items: Tensor) -> tuple[Tensor, Tensor]:
        """float[batch, n, 1 + classes] to logits float[batch, classes] and weights float[batch, n]."""
        hidden = self.items(items)
        weights = self.probs(self.key(hidden).squeeze(-1))
        pooled = torch.einsum("bn,bnd->bd", weights, self.value(hidden))
        return self.answer(pooled), weights


def draw_items(batch_size: int, length: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Items float[batch, n, 1 + classes], the largest one's index long[batch], and its class long[batch]."""
    priority = torch.rand(batch_size, length, generator=generator)
    classes = torch.randint(NUM_CLASSES, (batch_size, length), generator=generator)
    items = torch.cat([priority.unsqueeze(-1), nn.functional.one_hot(classes, NUM_CLASSES)], -1)
    largest = priority.argmax(-1)
    return items, largest, classes.gather(-1, largest.unsqueeze(-1)).squeeze(-1)


def train_and_test(contender: Contender, training: AttentionTraining, seed: int) -> dict[int, AttentionOutcome]:
    """Learn at one length, then measure at each of the lengths."""
    torch.manual_seed(seed)
    network = MaxRetrieval(training.hidden, contender.probs)
    optimizer = torch.optim.Adam(network.parameters(), lr=training.learning_rate)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(training.steps):
        items, _, target = draw_items(training.batch_size, training.length, generator)
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(items)[0], target).backward()
        optimizer.step()
    return {length: _test(network, training.num_tests, length, generator) for length in training.lengths}


@torch.no_grad()
def _test(network: MaxRetrieval, num_tests: int, length: int, generator: torch.Generator) -> AttentionOutcome:
    items, largest, target = draw_items(num_tests, length, generator)
    outputs = [network(part) for part in items.split(100)]
    logits, weights = (torch.cat(parts) for parts in zip(*outputs, strict=True))
    return AttentionOutcome(
        accuracy=(logits.argmax(-1) == target).double().mean().item(),
        focus=weights.gather(-1, largest.unsqueeze(-1)).double().mean().item(),
        zeros=(weights == 0).double().mean().item(),
    )


def compare(
    contenders: Sequence[Contender], training: AttentionTraining, seeds: Sequence[int]
) -> dict[str, list[dict[int, AttentionOutcome]]]:
    """The outcomes of every contender by length, one for each seed."""
    return {contender.name: [train_and_test(contender, training, seed) for seed in seeds] for contender in contenders}
