"""The trainings: Adam at a constant rate, without clipping, and the loss of every step.

On a GPU a step of so small a network is nothing but starting kernels; it is recorded once as a CUDA graph and replayed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from kexue.studies.gau_warmup.contenders import Contender, Shape
from kexue.studies.gau_warmup.findings import Run
from kexue.studies.gau_warmup.text import IGNORED, Batches, Text, read_text
from kexue.studies.machine import describe_machine
from kexue.studies.outcomes import Key

DIGITS = 4
"""Of a loss, behind the point, that are kept."""


@dataclass(frozen=True)
class Training:
    """How long, how fast, on how much text."""

    steps: int
    batch_size: int = 32
    length: int = 64
    dim: int = 64
    learning_rate: float = 1e-3

    def rate(self, step: int, warm_up: float) -> float:
        """The learning rate, which rises over the share `warm_up` of the steps."""
        rising = warm_up * self.steps
        return self.learning_rate * (min(1.0, (step + 1) / rising) if rising else 1.0)


@dataclass(frozen=True)
class Attempt:
    """The training of a contender at a depth with a seed, to be made in this process or another."""

    contender: Contender
    depth: int
    seed: int
    training: Training
    device: str

    @property
    def key(self) -> Key:
        """What it is known by."""
        return self.contender.name, self.depth, self.seed

    def run(self) -> Run:
        """Train."""
        began = time.monotonic()
        device = torch.device(self.device)
        losses = train(self.contender, read_text(), self.training, self.depth, self.seed, device)
        seconds = time.monotonic() - began
        rounded = [round(loss, DIGITS) for loss in losses]
        return Run(self.contender.name, self.depth, self.seed, rounded, seconds, describe_machine(self.device))


def train(
    contender: Contender, text: Text, training: Training, depth: int, seed: int, device: torch.device
) -> list[float]:
    """The loss of every step."""
    torch.manual_seed(seed)
    network = contender.make(Shape(text.vocab_size, training.dim, depth)).to(device).train()
    batches = text.batches(training.steps, training.batch_size, training.length, seed).to(device)
    rate = torch.tensor(training.learning_rate, device=device)
    optimizer = torch.optim.Adam(network.parameters(), lr=rate, fused=True, capturable=device.type == "cuda")
    step = (_recorded if device.type == "cuda" else _direct)(network, optimizer, batches)
    losses = torch.empty(training.steps, device=device)
    for number, (ids, labels) in enumerate(zip(*batches, strict=True)):
        rate.fill_(training.rate(number, contender.warm_up))
        losses[number] = step(ids, labels)
    return losses.tolist()


Step = Callable[[Tensor, Tensor], Tensor]
"""An update of the weights on a batch; returns the loss before it."""


def _direct(network: nn.Module, optimizer: torch.optim.Optimizer, batches: Batches) -> Step:
    def step(ids: Tensor, labels: Tensor) -> Tensor:
        optimizer.zero_grad(set_to_none=True)
        loss = nn.functional.cross_entropy(network(ids).flatten(0, 1), labels.flatten(), ignore_index=IGNORED)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


def _recorded(network: nn.Module, optimizer: torch.optim.Optimizer, batches: Batches) -> Step:
    """The same as a graph; the steps that torch wants before a recording leave no trace."""
    ids, labels = batches.ids[0].clone(), batches.labels[0].clone()
    direct = _direct(network, optimizer, batches)
    before = [weight.detach().clone() for weight in network.parameters()]
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(2):
            direct(ids, labels)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    optimizer.zero_grad(set_to_none=True)
    with torch.cuda.graph(graph):
        loss = direct(ids, labels)
    with torch.no_grad():
        for weight, value in zip(network.parameters(), before, strict=True):
            weight.copy_(value)
        for state in optimizer.state.values():
            for value in state.values():
                value.zero_()

    def step(new_ids: Tensor, new_labels: Tensor) -> Tensor:
        ids.copy_(new_ids)
        labels.copy_(new_labels)
        graph.replay()
        return loss

    return step
