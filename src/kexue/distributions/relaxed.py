"""Draws that carry a gradient: points of the simplex in place of the index argmax(loc + eps).

    Relaxed(temperature)                softmax((loc + eps) / temperature), and its own gradient
    StraightThrough()                   one_hot(argmax(loc + eps)), with the exact gradient of p = P(argmax = i)
    StraightThroughRelaxed(temperature) one_hot(argmax(loc + eps)), with the gradient of the relaxed draw

The gradient of `StraightThrough` is that of the expected draw, E[one_hot] = p, and the same for every draw;
that of the relaxed draw varies with eps and is biased for every temperature above 0.
Source: Bengio et al. 2013 (straight-through); Jang et al. 2017, Maddison et al. 2017 (relaxed, for Gumbel);
Su, kexue.fm/archives/6705 (2019), 9085 (2022).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from kexue.errors import OptionError


class Relaxation(ABC):
    """How an index is turned into a point of the simplex that carries a gradient."""

    @abstractmethod
    def draw(self, perturbed: Tensor, probs: Callable[[], Tensor]) -> Tensor:
        """A point of the simplex for each perturbed location.

        `perturbed` is loc + eps, float[..., n]; `probs` gives p, float[..., n], which broadcasts against it, and
        is asked only by those that use it.
        """


@dataclass(frozen=True)
class Relaxed(Relaxation):
    """softmax((loc + eps) / temperature): tends to the one-hot draw as the temperature falls to 0."""

    temperature: float = 1.0

    def __post_init__(self) -> None:
        _check_temperature(self.temperature)

    def draw(self, perturbed: Tensor, probs: Callable[[], Tensor]) -> Tensor:
        """Inside the simplex; classes of location -inf get exactly 0."""
        return (perturbed / self.temperature).softmax(-1)


@dataclass(frozen=True)
class StraightThrough(Relaxation):
    """The true draw forward, the exact gradient of the probabilities backward."""

    def draw(self, perturbed: Tensor, probs: Callable[[], Tensor]) -> Tensor:
        """A corner of the simplex."""
        return _with_gradient_of(probs(), _one_hot_argmax(perturbed))


@dataclass(frozen=True)
class StraightThroughRelaxed(Relaxation):
    """The true draw forward, the gradient of the relaxed draw backward: `gumbel_softmax(hard=True)` for any law."""

    temperature: float = 1.0

    def __post_init__(self) -> None:
        _check_temperature(self.temperature)

    def draw(self, perturbed: Tensor, probs: Callable[[], Tensor]) -> Tensor:
        """A corner of the simplex."""
        return _with_gradient_of(Relaxed(self.temperature).draw(perturbed, probs), _one_hot_argmax(perturbed))


def _one_hot_argmax(perturbed: Tensor) -> Tensor:
    index = perturbed.argmax(-1, keepdim=True)
    return torch.zeros_like(perturbed).scatter(-1, index, 1.0)


def _with_gradient_of(smooth: Tensor, value: Tensor) -> Tensor:
    """`value` to the last bit: the difference is exactly 0, so its place in the sum costs no rounding."""
    return value + (smooth - smooth.detach())


def _check_temperature(temperature: float) -> None:
    if not (math.isfinite(temperature) and temperature > 0):
        raise OptionError(f"temperature = {temperature!r}: a relaxed draw needs a finite temperature above 0.")
