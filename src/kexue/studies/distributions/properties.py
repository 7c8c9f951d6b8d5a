"""What the article says of every law, on drawn locations: p is a distribution, keeps their order, ignores a shift.

And of Gumbel's, that it gives softmax by a closed form, beside which we know those of exponential noise of either sign.
The definition is the article's mean over quantiles, of so many that its own error shows in what it says of Gumbel's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from kexue.distributions import NOISES, Gumbel, perturbed_argmax_probs, published_argmax_probs
from kexue.studies.distributions.contenders import scaled

CLOSED = ("gumbel", "exponential", "negated_exponential")
"""Laws whose p has a closed form, which is what is computed."""
SHIFT = 3.7
"""Added to all locations."""
FEW, MANY = 4, 20_000
"""Classes and quantiles with which the closed forms are compared with the definition."""


@dataclass(frozen=True)
class LawProperties:
    """The largest distance of a sum from 1, fall of p where locations rise, and change of p by a shift.

    `ties` is the share of neighbouring locations, which all differ, that have the same p.
    """

    sum_error: float
    fall: float
    ties: float
    shift_error: float


@dataclass(frozen=True)
class Properties:
    """Of every law by its name; how far softmax is from Gumbel's p, and closed forms from the definition, by law."""

    laws: Mapping[str, LawProperties]
    softmax_error: float
    closed_errors: Mapping[str, float]


def title(name: str) -> str:
    """The name of a law, as contenders have it."""
    return name.replace("_", " ")


def measure(num_rows: int, num_classes: int, seed: int) -> Properties:
    """On locations of standard deviation 2, in float64."""
    generator = torch.Generator().manual_seed(seed)
    loc = 2 * torch.randn(num_rows, num_classes, dtype=torch.float64, generator=generator)
    gumbel = perturbed_argmax_probs(loc, Gumbel())
    return Properties(
        {title(name): _properties(name, loc) for name in NOISES},
        (gumbel - loc.softmax(-1)).abs().max().item(),
        {title(name): _closed_error(name, loc[:, :FEW]) for name in CLOSED},
    )


def _properties(name: str, loc: Tensor) -> LawProperties:
    noise = scaled(NOISES[name])
    probs = perturbed_argmax_probs(loc, noise)
    steps = probs.gather(-1, loc.argsort(-1)).diff(dim=-1)
    return LawProperties(
        sum_error=(probs.sum(-1) - 1).abs().max().item(),
        fall=max(0.0, -steps.min().item()),
        ties=(steps == 0).double().mean().item(),
        shift_error=(perturbed_argmax_probs(loc + SHIFT, noise) - probs).abs().max().item(),
    )


def _closed_error(name: str, loc: Tensor) -> float:
    noise = scaled(NOISES[name])
    return (published_argmax_probs(loc, noise, MANY) - perturbed_argmax_probs(loc, noise)).abs().max().item()
