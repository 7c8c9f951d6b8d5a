"""What all networks have in common: network(x_t, t, labels=None), t float[batch] in [0, 1], like x_t what comes out.

A class-conditional network knows one class more than the data: "any", which stands for a label that is not given,
so that one network learns both terms of classifier-free guidance (Ho and Salimans 2022).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from kexue.errors import OptionError

NUM_TIMES = 1000  # networks see 1000 t, so that a step of Ho's chain is a step of one


class DenoisingNetwork(nn.Module, ABC):
    """A network for images float[batch, channels, height, width]."""

    kind: ClassVar[str]
    num_classes: int
    """Classes of the data; 0 for a network without a condition."""

    @abstractmethod
    def forward(self, x_t: Tensor, t: Tensor, labels: Tensor | None = None) -> Tensor:
        """What the parameterization says of x_t at times t; `labels` long[batch], the class `num_classes` is any."""

    @property
    @abstractmethod
    def config(self) -> dict[str, Any]:
        """What `from_config` makes a network of the same form of: numbers, strings and lists."""

    @classmethod
    @abstractmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """A network with fresh weights."""

    @classmethod
    @abstractmethod
    def preset(cls, name: str, shape: tuple[int, int, int], num_classes: int = 0, dropout: float = 0.0) -> Self:
        """A network of a named size for images of `shape` (channels, height, width).

        Raises `OptionError` for an unknown name and for images that it cannot take.
        """

    @property
    @abstractmethod
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of the images."""

    @property
    def smallest(self) -> tuple[int, int] | None:
        """Height and width of the smallest images that it can take; None where it takes those of `shape` only."""
        return None

    @abstractmethod
    def gradient_checkpointing_enable(self) -> None:
        """Keep less for the backward pass and compute it again: half the memory for a third more time."""

    def classes(self, labels: Tensor | None, x_t: Tensor) -> Tensor | None:
        """The class of each image as the network counts them; None for a network without a condition.

        Raises `OptionError` for labels that a network without a condition cannot use.
        """
        if self.num_classes:
            any_class = torch.full((len(x_t),), self.num_classes, device=x_t.device)
            return any_class if labels is None else labels
        if labels is not None:
            raise OptionError("this network was not trained with classes, so it takes no labels")
        return None
