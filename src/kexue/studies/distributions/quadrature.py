"""Where the article's own quadrature fails: its probabilities do not sum to 1, and for many classes to nearly 0.

    p_i ~ 1/K sum_k prod_{j != i} Phi(loc_i - loc_j + Phi^-1(t_k)),   t_k = k / (K + 1)

It integrates over the noise of class i, for each class on its own; with many classes the product is 0 but in the
last sliver before t = 1, which no t_k meets. Source: Su, kexue.fm/archives/9085 (2022).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from kexue.distributions import Noise, Normal, perturbed_argmax_probs


@dataclass(frozen=True)
class QuadratureError:
    """For equal locations and for drawn ones: what the article's probabilities sum to, and their largest error."""

    num_classes: int
    num_quantiles: int
    sum_of_equal: float
    sum_of_drawn: float
    error_of_drawn: float


def article_probs(loc: Tensor, noise: Noise, num_quantiles: int) -> Tensor:
    """The article's approximation as it stands, not normalised: float64[n] to float64[n]."""
    return torch.stack([_of_one_class(own - loc, noise, num_quantiles) for own in loc])


def errors(cases: Iterable[tuple[int, int]], seed: int) -> list[QuadratureError]:
    """For numbers of (classes, quantiles), with Normal noise and locations of standard deviation 1."""
    return [_error(num_classes, num_quantiles, seed) for num_classes, num_quantiles in cases]


def _error(num_classes: int, num_quantiles: int, seed: int) -> QuadratureError:
    drawn = torch.randn(num_classes, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    probs = article_probs(drawn, Normal(), num_quantiles)
    return QuadratureError(
        num_classes,
        num_quantiles,
        num_classes * _of_one_class(torch.zeros_like(drawn), Normal(), num_quantiles).item(),
        probs.sum().item(),
        (probs - perturbed_argmax_probs(drawn, Normal())).abs().max().item(),
    )


def _of_one_class(gaps: Tensor, noise: Noise, num_quantiles: int) -> Tensor:
    """Mean over the quantiles; the factor of the class itself, at gap 0, is taken out of the product again."""
    quantiles = noise.icdf(torch.arange(1, num_quantiles + 1, dtype=torch.float64) / (num_quantiles + 1))
    log_cdf = noise.log_cdf(gaps + quantiles.unsqueeze(-1)).sum(-1) - noise.log_cdf(quantiles)
    return log_cdf.exp().mean()
