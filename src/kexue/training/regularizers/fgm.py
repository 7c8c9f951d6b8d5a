"""FGM, the fast gradient method: learn from the batch as it is, and moved to where the loss grows fastest.

    L(x) + alpha L(x + r),      r = radius |x| g / |g|,      g = gradient of L(x) with respect to x

x are the embedded tokens of a window, or the noisy image; norms are over all of an example but its padding.
Source: Miyato et al. 2017, arXiv 1605.07725 (on the embedded sequence, as here); Su, kexue.fm/archives/7234 (2020; on
the matrix of embeddings, which has to be restored, and moves all tokens of a batch by what one of them needs).
"""

from __future__ import annotations

from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from kexue.training.regularizers.regularizer import Regularizer, Step


@dataclass(frozen=True)
class FGM(Regularizer):
    """alpha times the loss of the moved batch."""

    alpha: float = Field(1.0, gt=0)
    radius: float = Field(0.1, gt=0)

    def penalty(self, step: Step) -> Tensor:
        """alpha L(x + r)."""
        loss, _ = step.again(step.along(step.slope(), self.radius))
        return self.alpha * loss
