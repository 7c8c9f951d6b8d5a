"""Where the article's own quadrature fails: its probabilities do not sum to 1, and for many classes to nearly 0.

It integrates over the noise of class i, for each class on its own; with many classes the integrand is 0 but in the
last sliver before t = 1, which no t_k = k / (K + 1) meets. Source: Su, kexue.fm/archives/9085 (2022).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch

from kexue.distributions import Normal, perturbed_argmax_probs, published_argmax_probs


@dataclass(frozen=True)
class QuadratureError:
    """For equal locations and for drawn ones: what the article's probabilities sum to, and their largest error."""

    num_classes: int
    num_quantiles: int
    sum_of_equal: float
    sum_of_drawn: float
    error_of_drawn: float


def errors(cases: Iterable[tuple[int, int]], seed: int) -> list[QuadratureError]:
    """For numbers of (classes, quantiles), with Normal noise and locations of standard deviation 1."""
    return [_error(num_classes, num_quantiles, seed) for num_classes, num_quantiles in cases]


def _error(num_classes: int, num_quantiles: int, seed: int) -> QuadratureError:
    drawn = torch.randn(num_classes, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    of_equal = published_argmax_probs(torch.zeros_like(drawn), Normal(), num_quantiles)
    of_drawn = published_argmax_probs(drawn, Normal(), num_quantiles)
    return QuadratureError(
        num_classes,
        num_quantiles,
        of_equal.sum().item(),
        of_drawn.sum().item(),
        (of_drawn - perturbed_argmax_probs(drawn, Normal())).abs().max().item(),
    )
