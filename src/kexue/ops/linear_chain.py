"""Linear chains of tags: the partition function, the best paths, and the best paths through each tag.

    score(y) = sum over k of e_k(y_k) + sum over k > 0 of A(y_{k-1}, y_k)
    alpha_k(y) = e_k(y) + R_x (alpha_{k-1}(x) + A(x, y)),     beta_{k-1}(x) = R_y (A(x, y) + e_k(y) + beta_k(y))

With R = logsumexp the recursion ends in log Z; with R = max, alpha + beta is the score of the best path through each
tag at each place, whose largest tags are Viterbi's path. All in log space; texts of unequal length are padded at the
end. Source: Lafferty, McCallum and Pereira 2001, "Conditional random fields"; Viterbi 1967.

There is no maintained library for it (pytorch-crf and torch-struct had their last releases in 2019 and 2021), and none
gives the max-marginals that scores of single spans are made of.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


def log_partition(
    emissions: Float[Tensor, "batch seq tags"], transitions: Float[Tensor, "tags tags"], mask: Bool[Tensor, "batch seq"]
) -> Float[Tensor, " batch"]:
    """log of the sum of exp(score) over all paths; 0 for a text without tokens."""
    alpha = emissions[:, 0]
    for place in range(1, emissions.shape[1]):
        following = emissions[:, place] + (alpha[:, :, None] + transitions).logsumexp(1)
        alpha = torch.where(mask[:, place, None], following, alpha)
    return alpha.logsumexp(1).masked_fill(~mask[:, 0], 0)


def path_score(
    emissions: Float[Tensor, "batch seq tags"],
    transitions: Float[Tensor, "tags tags"],
    tags: Int[Tensor, "batch seq"],
    mask: Bool[Tensor, "batch seq"],
) -> Float[Tensor, " batch"]:
    """The score of one path for each text."""
    own = emissions.gather(2, tags[..., None])[..., 0].masked_fill(~mask, 0).sum(1)
    steps = transitions[tags[:, :-1], tags[:, 1:]].masked_fill(~mask[:, 1:], 0).sum(1)
    return own + steps


def best_through(
    emissions: Float[Tensor, "batch seq tags"], transitions: Float[Tensor, "tags tags"], mask: Bool[Tensor, "batch seq"]
) -> tuple[Float[Tensor, "batch seq tags"], Float[Tensor, "batch seq tags"]]:
    """alpha: the best score of a path up to and with each tag; beta: of what may follow it, 0 at the last token.

    At padding alpha repeats and beta is 0.
    """
    alpha, beta = [emissions[:, 0]], [torch.zeros_like(emissions[:, 0])]
    for place in range(1, emissions.shape[1]):
        following = emissions[:, place] + (alpha[-1][:, :, None] + transitions).amax(1)
        alpha.append(torch.where(mask[:, place, None], following, alpha[-1]))
    for place in range(emissions.shape[1] - 1, 0, -1):
        before = (transitions + (emissions[:, place] + beta[-1])[:, None]).amax(2)
        beta.append(torch.where(mask[:, place, None], before, beta[-1]))
    return torch.stack(alpha, 1), torch.stack(beta[::-1], 1)


def best_through_independent(
    emissions: Float[Tensor, "batch seq tags"], mask: Bool[Tensor, "batch seq"]
) -> tuple[Float[Tensor, "batch seq tags"], Float[Tensor, "batch seq tags"]]:
    """`best_through` where all transitions are 0, without a recursion."""
    best = emissions.amax(2).masked_fill(~mask, 0)
    until = best.cumsum(1)
    return emissions + (until - best)[..., None], (until[:, -1:] - until)[..., None].expand_as(emissions)
