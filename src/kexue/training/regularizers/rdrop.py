"""R-Drop: what a model says of a batch under one dropout shall be what it says under another.

    (L_1 + L_2) / 2 + alpha / 4 D(f_1, f_2),      D symmetric, gradients through both

Both passes are one pass over the doubled batch. With D = KL(p | q) + KL(q | p) it is half of the loss of Liang et al.
2021 (arXiv 2106.14448) with the same alpha; for GlobalPointer D is the sigmoid divergence.
Source: Su, kexue.fm/archives/8496 (2021) and 9039 (2022).
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from kexue.errors import OptionError
from kexue.training.regularizers.divergence import Divergence, name_of
from kexue.training.regularizers.regularizer import Job, Regularizer, Step


@dataclass(frozen=True)
class RDrop(Regularizer):
    """alpha / 4 times the divergence of two passes."""

    doubles: ClassVar[bool] = True

    alpha: float = Field(0.1, gt=0)
    divergence: Divergence | None = None

    def penalty(self, step: Step) -> Tensor:
        """alpha / 4 D(f_1, f_2)."""
        first, second = step.said.halves()
        return self.alpha / 4 * first.divergence(second, name_of(self.divergence, step.job))

    def check(self, job: Job) -> None:
        """Without dropout both passes are the same."""
        name_of(self.divergence, job)
        if not any(_drops(module) for module in job.model.modules()):
            raise OptionError("regularizer 'rdrop' compares two passes that differ by dropout, and this model has none")


def _drops(module: nn.Module) -> bool:
    """Whether something falls in it by chance: a dropout layer, or a unit that has a rate of its own."""
    rate = module.p if isinstance(module, nn.Dropout) else getattr(module, "dropout", 0.0)
    return isinstance(rate, float) and rate > 0
