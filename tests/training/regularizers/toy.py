"""A model so small that every penalty can be worked out by hand: scores = W tanh(V x), of points x [batch, 3]."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from kexue.ops.divergence import sigmoid_divergence, squared_divergence
from kexue.training.regularizers import Inputs

KINDS = {"sigmoid": sigmoid_divergence, "squared": squared_divergence}


@dataclass
class ToySaid:
    scores: Tensor

    def halves(self) -> tuple[ToySaid, ToySaid]:
        first, second = self.scores.chunk(2)
        return ToySaid(first), ToySaid(second)

    def detached(self) -> ToySaid:
        return ToySaid(self.scores.detach())

    def scaled(self, by: float) -> ToySaid:
        return ToySaid(by * self.scores)

    def divergence(self, other: ToySaid, kind: str) -> Tensor:
        return KINDS[kind](self.scores, other.scores).mean()


class ToyModel(nn.Module):
    """Loss: squares of scores less y, a mean over the batch. Its weights are float64."""

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        self.entrance, self.drop = nn.Identity(), nn.Dropout(dropout)
        self.inner, self.outer = nn.Linear(3, 5), nn.Linear(5, 4)
        self.double()

    def scores(self, x: Tensor) -> Tensor:
        return self.outer(self.drop(self.inner(self.entrance(x)).tanh()))

    def forward(self, x: Tensor, y: Tensor) -> dict[str, Any]:
        scores = self.scores(x)
        return {"loss": (scores - y).square().sum(-1).mean(), "said": ToySaid(scores)}


class ToyJob:
    """Stands for a trainer."""

    divergences = tuple(KINDS)

    def __init__(self, dropout: float = 0.0, seed: int = 0) -> None:
        torch.manual_seed(seed)
        self.model = ToyModel(dropout)
        self.inputs = {"x": torch.randn(6, 3, dtype=torch.float64), "y": torch.randn(6, 4, dtype=torch.float64)}
        self.padding: Tensor | None = None
        self.teacher: ToyModel = self.model

    @property
    def entrance(self) -> nn.Module:
        return self.model.entrance

    def kept(self, inputs: Inputs) -> Tensor | None:
        return self.padding

    def doubled(self, inputs: Inputs) -> Inputs:
        return {name: torch.cat((value, value)) for name, value in inputs.items()}

    def bring_teacher(self, folder: str) -> None:
        pass

    def taught(self, folder: str, inputs: Inputs) -> ToySaid:
        return self.teacher(**inputs)["said"].detached()
