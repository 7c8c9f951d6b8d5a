"""A small network with each map as its last layer: how right, how calibrated, how sparse.

    features -> ReLU layer -> one location per class -> p,   trained with the loss that belongs to the map

Everything but the map and its loss is the same: initial weights, order of the examples, Adam, number of steps.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from time import process_time

import torch
from torch import Tensor, nn

from kexue.extraction.metrics.calibration_error import expected_calibration_error
from kexue.studies.distributions.contenders import Contender
from kexue.studies.distributions.data import Split


@dataclass(frozen=True)
class Training:
    """How long and how fast to learn."""

    epochs: int
    batch_size: int = 64
    hidden: int = 128
    learning_rate: float = 5e-3

    def steps(self, num_examples: int) -> int:
        """Of the optimiser."""
        return self.epochs * math.ceil(num_examples / self.batch_size)


@dataclass(frozen=True)
class Outcome:
    """Of one trained network on the test examples.

    accuracy, calibration_error and zeros are shares: of right answers, ECE, and of probabilities that are
    exactly 0; seconds is the processor time of the training.
    """

    accuracy: float
    calibration_error: float
    zeros: float
    seconds: float


def compare(
    contenders: Sequence[Contender], split: Split, training: Training, seeds: Sequence[int]
) -> dict[str, list[Outcome]]:
    """The outcomes of every contender, one for each seed; the seeds are the outer loop, so that other load on
    the machine meets all contenders alike."""
    outcomes: dict[str, list[Outcome]] = {contender.name: [] for contender in contenders}
    for seed in seeds:
        for contender in contenders:
            outcomes[contender.name].append(train_and_test(contender, split, training, seed))
    return outcomes


def train_and_test(contender: Contender, split: Split, training: Training, seed: int) -> Outcome:
    """Learn from the training examples and measure on the others."""
    torch.manual_seed(seed)
    network = nn.Sequential(
        nn.Linear(split.num_features, training.hidden), nn.ReLU(), nn.Linear(training.hidden, split.num_classes)
    )
    began = process_time()
    _train(network, contender, split.train, training)
    seconds = process_time() - began
    with torch.no_grad():
        probs = torch.cat([contender.probs(network(x)) for x in split.test[0].split(500)])
    return _measure(probs, split.test[1], seconds)


def _train(network: nn.Module, contender: Contender, examples: tuple[Tensor, Tensor], training: Training) -> None:
    optimizer = torch.optim.Adam(network.parameters(), lr=training.learning_rate)
    x, y = examples
    for _ in range(training.epochs):
        for batch in torch.randperm(len(y)).split(training.batch_size):
            optimizer.zero_grad()
            contender.loss(network(x[batch]), y[batch]).mean().backward()
            optimizer.step()


def _measure(probs: Tensor, target: Tensor, seconds: float) -> Outcome:
    confidence, answer = probs.max(-1)
    correct = answer == target
    return Outcome(
        accuracy=correct.double().mean().item(),
        calibration_error=expected_calibration_error(confidence.clamp(0, 1).numpy(), correct.numpy()),
        zeros=(probs == 0).double().mean().item(),
        seconds=seconds,
    )
