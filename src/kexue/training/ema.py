"""Exponential moving average of the weights: what is evaluated and kept, while the raw weights go on training.

    average_t = d_t average_{t-1} + (1 - d_t) weights_t,      d_t = min(decay, (1 + t) / (10 + t))

The warm-up of the decay lets short trainings profit too (as TensorFlow's `ExponentialMovingAverage` does).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn


class ExponentialMovingAverage:
    """The averaged twins of a model's trainable parameters. A decay of 0 makes them the parameters themselves."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.num_updates = 0
        self._parameters = {name: value for name, value in model.named_parameters() if value.requires_grad}
        self._average = {name: value.detach().clone() for name, value in self._parameters.items()}

    @torch.no_grad()
    def update(self) -> None:
        """Take in the parameters after a step."""
        self.num_updates += 1
        decay = min(self.decay, (1 + self.num_updates) / (10 + self.num_updates))
        targets = [value.detach() for value in self._parameters.values()]
        torch._foreach_lerp_(list(self._average.values()), targets, 1 - decay)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Within the block the model has the averaged weights."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        for name, value in self._parameters.items():
            raw = value.detach().clone()
            value.copy_(self._average[name])
            self._average[name].copy_(raw)

    def save(self, path: Path) -> None:
        """Write the average and the number of updates."""
        tensors: dict[str, Tensor] = {name: value.contiguous() for name, value in self._average.items()}
        save_file(tensors | {"num_updates": torch.tensor(self.num_updates)}, path)

    def load(self, path: Path) -> None:
        """Go on from `save`."""
        tensors = load_file(path)
        self.num_updates = int(tensors.pop("num_updates"))
        for name, value in tensors.items():
            self._average[name].copy_(value)
