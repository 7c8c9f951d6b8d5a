"""The quadrature of the article, by quantiles of the noise: kept to show where it fails.

    p_i ~ 1/K sum_{k=1}^K prod_{j != i} F(mu_i - mu_j + F^-1(k / (K + 1)))

It is not normalised and biased low: for n equal locations its sum is n mean(t^(n-1)), which is 0.59 at n = K = 100
and 0.03 at n = 1,000, K = 200. It costs K n^2, where one set of nodes for all classes costs K n.
Source: Su, kexue.fm/archives/9085 (2022).
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from kexue.distributions.noise import Noise
from kexue.distributions.noise.law import log_cdf_of


def published_argmax_probs(
    loc: Float[Tensor, "*batch n"], noise: Noise, num_nodes: int = 200, *, normalised: bool = False
) -> Float[Tensor, "*batch n"]:
    """The article's estimate of P(argmax(loc + noise) = i); `normalised` divides it by its sum.

    Differentiable as it stands, with num_nodes * n * n numbers in memory.
    """
    u = torch.arange(1, num_nodes + 1, dtype=loc.dtype, device=loc.device) / (num_nodes + 1)
    gaps = (loc[..., :, None] - loc[..., None, :]) / noise.scale
    log_cdf = log_cdf_of(noise, gaps[..., None] + noise.icdf_standard(u))
    others = ~torch.eye(loc.shape[-1], dtype=torch.bool, device=loc.device)
    probs = torch.where(others[..., None], log_cdf, 0.0).sum(-2).exp().mean(-1)
    return probs / probs.sum(-1, keepdim=True) if normalised else probs
