"""The sparse multi-label loss as it was published and ported; wrong once a positive score is large.

    a = log(1 + sum over all classes of exp(s)),  b = log(sum over positives of exp(s))
    loss = log(1 + sum over positives of exp(-s)) + a + log(clip(1 - exp(b - a), floor, 1))

The difference 1 - exp(b - a) cancels where the positives hold most of the sum: from a score of about 9 in
float32, 5 in bfloat16. Below the floor the gradient becomes that of `a` alone, which pushes positives down.
A positive given twice is subtracted twice: the loss turns negative. For tests and studies only, nothing in
the package computes with it. Source: Su, kexue.fm/archives/8888 (2022), and the ports named in `PUBLISHED`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor


@dataclass(frozen=True)
class PublishedSparseLoss:
    """The published formula with the floor of one port; computes in the dtype of the scores, as they do."""

    floor: float

    def __call__(
        self, scores: Float[Tensor, "*heads classes"], positives: Int[Tensor, "*heads k"]
    ) -> Float[Tensor, "*heads"]:
        """The loss of each head; rows of `positives` are padded with -1, repetitions count each time."""
        zero = torch.zeros_like(scores[..., :1])
        absent = positives < 0
        chosen = scores.gather(-1, positives.clamp(min=0).long())
        of_all = torch.cat((scores, zero), -1).logsumexp(-1)
        of_chosen = torch.cat((chosen.masked_fill(absent, -torch.inf), zero - torch.inf), -1).logsumexp(-1)
        left = (1 - (of_chosen - of_all).exp()).clamp(self.floor, 1)
        pulled = torch.cat(((-chosen).masked_fill(absent, -torch.inf), zero), -1).logsumexp(-1)
        return pulled + of_all + left.log()


PUBLISHED = {
    "bert4keras": PublishedSparseLoss(floor=1e-7),
    "bert4torch": PublishedSparseLoss(floor=1e-7),
    "GPLinker_pytorch": PublishedSparseLoss(floor=1e-5),
    "PaddleNLP": PublishedSparseLoss(floor=0.1),
}
"""The floor of each port, by the name of its repository."""
