"""What a loss and its gradient cost: processor time, as a multiple of the softmax cross entropy's.

All contenders take turns within a round, so that other load hits all alike; the median of the ratios counts.
The first round only warms up.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from time import process_time

import torch
from torch import Tensor

from kexue.studies.distributions.contenders import Contender

SHORTEST = 0.01
"""Seconds that are measured at a time."""
MOMENT = 0.3
"""Seconds that are enough for a prediction."""


def relative_costs(
    contenders: Sequence[Contender], shape: tuple[int, int], rounds: int, seed: int
) -> tuple[dict[str, float], float]:
    """Multiples of the first contender's time by name, and that time in seconds; `shape` is (batch, classes)."""
    loc, target = _drawn(shape, seed)
    table = [[_seconds(contender, loc, target) for contender in contenders] for _ in range(rounds + 1)][1:]
    ratios = zip(*([own / row[0] for own in row] for row in table), strict=True)
    costs = {contender.name: median(column) for contender, column in zip(contenders, ratios, strict=True)}
    return costs, median(row[0] for row in table)


def affordable(
    contenders: Sequence[Contender], shape: tuple[int, int], steps: int, limit: float, seed: int
) -> list[Contender]:
    """Those whose `steps` losses and gradients of this shape should take at most `limit` seconds."""
    return [contender for contender in contenders if steps * _predicted(contender, shape, seed) <= limit]


def _predicted(contender: Contender, shape: tuple[int, int], seed: int) -> float:
    """Seconds of one loss and gradient, from as many rows of the batch as can be measured in a moment."""
    loc, target = _drawn(shape, seed)
    _seconds(contender, loc[:1], target[:1])  # what is computed once and kept does not count
    rows = 1
    while (seconds := _seconds(contender, loc[:rows], target[:rows])) < MOMENT and rows < shape[0]:
        rows = min(8 * rows, shape[0])
    return seconds * shape[0] / rows


def _drawn(shape: tuple[int, int], seed: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    loc = 2 * torch.randn(shape, generator=generator)
    return loc, torch.randint(shape[1], shape[:1], generator=generator)


def _seconds(contender: Contender, loc: Tensor, target: Tensor) -> float:
    """Processor seconds of one loss and gradient; a short one is repeated until the clock can see it."""
    began, repeats, elapsed = process_time(), 0, 0.0
    while elapsed < SHORTEST:
        leaf = loc.detach().requires_grad_()
        contender.loss(leaf, target).mean().backward()
        repeats, elapsed = repeats + 1, process_time() - began
    return elapsed / repeats
