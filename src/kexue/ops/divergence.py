"""How far two score vectors are apart: <f(s) - f(t), s - t>, 0 where they agree, symmetric, never negative.

    softmax_divergence   f = softmax, a smooth one-hot of the largest score: KL(p | q) + KL(q | p)
    sigmoid_divergence   f = sigmoid, a smooth step at 0: the same sum for the coins [sigmoid(s_i), 1 - sigmoid(s_i)]
    squared_divergence   f = identity

f smooths the rule by which scores are read: one class, the largest; or all classes above 0, as in the multi-label
loss. Softmax does not see a shift of all scores, which turns every answer of the second rule round; squares see
changes among confident negatives, which turn none. Each is a symmetrised Bregman divergence, of logsumexp, of the sum
of softplus, of half the square.
Source: Su, kexue.fm/archives/9039 (2022).
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from kexue.ops.precision import exact_dtype


def sigmoid_divergence(
    scores: Float[Tensor, "*heads classes"],
    other: Float[Tensor, "*heads classes"],
    mask: Bool[Tensor, "*#heads classes"] | None = None,
) -> Float[Tensor, "*heads"]:
    """The sum over classes of (sigmoid(s) - sigmoid(t)) (s - t).

    `mask` is True at the classes that count; a class with -inf in both counts nothing. float32 at least.
    With d = |s - t| each term is d sigmoid(max) sigmoid(-min) (1 - exp(-d)), which loses no digit where both scores
    are large: the difference of two sigmoids near 1 would be 0 there.
    """
    s, t = _counted(scores, other, mask)
    distance = (s - t).abs()
    gap = torch.maximum(s, t).sigmoid() * torch.minimum(s, t).neg().sigmoid() * -torch.expm1(-distance)
    return (gap * distance).sum(-1)


def softmax_divergence(
    scores: Float[Tensor, "*heads classes"], other: Float[Tensor, "*heads classes"]
) -> Float[Tensor, "*heads"]:
    """The sum over classes of (softmax(s) - softmax(t)) (s - t); a class with -inf in both counts nothing.

    float32 at least; 0 for a head without classes.
    """
    dtype = exact_dtype(scores, other)
    s, t = scores.to(dtype), other.to(dtype)
    absent = (s == -torch.inf) & (t == -torch.inf)
    empty = absent.all(-1, keepdim=True)
    p, q = (x.masked_fill(absent, -torch.inf).masked_fill(empty, 0).softmax(-1) for x in (s, t))
    return ((p - q) * (s.masked_fill(absent, 0) - t.masked_fill(absent, 0))).sum(-1)


def squared_divergence(
    scores: Float[Tensor, "*heads classes"],
    other: Float[Tensor, "*heads classes"],
    mask: Bool[Tensor, "*#heads classes"] | None = None,
) -> Float[Tensor, "*heads"]:
    """The sum over classes of (s - t)^2, with the mask of `sigmoid_divergence`; float32 at least."""
    s, t = _counted(scores, other, mask)
    return (s - t).square().sum(-1)


def _counted(scores: Tensor, other: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    """Both with 0 at what does not count, put there before anything is subtracted: -inf less -inf is no number."""
    dtype = exact_dtype(scores, other)
    absent = (scores == -torch.inf) & (other == -torch.inf)
    if mask is not None:
        absent = absent | ~mask
    return scores.to(dtype).masked_fill(absent, 0), other.to(dtype).masked_fill(absent, 0)
