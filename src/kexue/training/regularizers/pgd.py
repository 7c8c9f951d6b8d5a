"""PGD, projected gradient descent: as FGM, but in several short steps, each from where the last one led.

    r_0 = 0,      r_{k+1} = cut to radius |x| (r_k + step |x| g_k / |g_k|),      g_k = gradient of L(x + r_k)

Source: Madry et al. 2018, arXiv 1706.06083; for embeddings Su, kexue.fm/archives/7234 (2020).
"""

from __future__ import annotations

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from kexue.training.regularizers.regularizer import Regularizer, Step


@dataclass(frozen=True)
class PGD(Regularizer):
    """alpha times the loss of the batch moved in `num_steps` steps."""

    alpha: float = Field(1.0, gt=0)
    radius: float = Field(0.1, gt=0)
    step: float = Field(0.05, gt=0)
    num_steps: int = Field(3, ge=1)

    def penalty(self, step: Step) -> Tensor:
        """alpha L(x + r)."""
        shift = step.within(step.along(step.slope(), self.step), self.radius)
        for _ in range(1, self.num_steps):
            shift = shift.requires_grad_()
            slope = torch.autograd.grad(step.again(shift)[0], shift)[0]
            shift = step.within(shift.detach() + step.along(slope, self.step), self.radius)
        return self.alpha * step.again(shift)[0]
