"""VAT, virtual adversarial training: what is said shall not change where a small move would change it most.

    alpha D(f(x + r), f(x)),      r = radius |x| u / |u|,      u: the direction in which D grows fastest

Because D and its gradient are 0 at r = 0, the direction is the leading eigenvector of its second derivative, found by
the power method: u <- gradient of D(f(x + xi u), f(x)), from noise. f(x) is a target, through which no gradient flows.
All passes of a step have the same dropout, so that D measures the move alone. It needs no labels.
Source: Miyato et al. 2017, arXiv 1704.03976; Su, kexue.fm/archives/7466 (2020).
"""

from __future__ import annotations

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from kexue.training.regularizers.divergence import Divergence, name_of
from kexue.training.regularizers.regularizer import Job, Regularizer, Step


@dataclass(frozen=True)
class VAT(Regularizer):
    """alpha times the divergence of what is said of the moved batch; without steps the move is noise."""

    alpha: float = Field(1.0, gt=0)
    radius: float = Field(0.1, gt=0)
    xi: float = Field(0.1, gt=0, description="the rounding of bfloat16 hides what a much shorter move does")
    num_steps: int = Field(1, ge=0)
    divergence: Divergence | None = None

    def penalty(self, step: Step) -> Tensor:
        """alpha D(f(x + r), f(x))."""
        kind, target = name_of(self.divergence, step.job), step.said.detached()
        direction = step.noise()
        for _ in range(self.num_steps):
            shift = step.along(direction, self.xi).requires_grad_()
            distance = step.again(shift)[1].divergence(target, kind)
            direction = torch.autograd.grad(distance, shift)[0]
        return self.alpha * step.again(step.along(direction, self.radius))[1].divergence(target, kind)

    def check(self, job: Job) -> None:
        """Whether the job knows the divergence."""
        name_of(self.divergence, job)
