"""Losses that learn a perturbed argmax: one number per example, before any reduction.

    cross_entropy    -log p_t                                    gradient -(dp_t / dloc) / p_t
    fenchel_young    E max_j(loc_j + eps_j) - loc_t - E eps      gradient p - one_hot(t)
    expected_error   1 - p_t                                     gradient -dp_t / dloc

With Gumbel noise the first two are the same. With noise bounded on both sides p_t can be exactly 0, where the
cross entropy is infinite and has no gradient: `cross_entropy` refuses such noise. `fenchel_young` is convex for
every noise, its gradient never exceeds 1, and its least value is 0. `expected_error` is the share of draws that
are wrong, so it counts what accuracy counts; its gradient vanishes where an example is hopelessly wrong.
Source: Su, kexue.fm/archives/9085 (2022); Berthet et al. 2020 and Blondel, Martins and Niculae 2020
(Fenchel-Young); Karpukhin, Dereka and Kolesnikov 2024 (expected error: "EXACT").
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from kexue.distributions.noise import Noise
from kexue.distributions.probabilities import expected_max, perturbed_argmax_log_probs, perturbed_argmax_probs
from kexue.errors import OptionError


def cross_entropy(
    loc: Float[Tensor, "*batch n"], target: Int[Tensor, "*batch"], noise: Noise, *, tolerance: float | None = None
) -> Float[Tensor, "*batch"]:
    """-log P(argmax(loc + eps) = target) in nats, right however small the probability is.

    Raises OptionError for noise bounded on both sides, where the probability can be exactly 0.
    """
    if noise.sparse:
        raise OptionError(
            f"cross_entropy: under {noise!r}, bounded on both sides, the probability of the target can be exactly 0, "
            "and its logarithm -inf without a gradient. Use fenchel_young (convex, gradient p - one_hot)."
        )
    return -_at(perturbed_argmax_log_probs(loc, noise, tolerance=tolerance), target)


def fenchel_young(
    loc: Float[Tensor, "*batch n"], target: Int[Tensor, "*batch"], noise: Noise, *, tolerance: float | None = None
) -> Float[Tensor, "*batch"]:
    """How much the expected largest of loc + eps exceeds that of the target alone; 0 where the target always wins.

    Raises OptionError for noise without a mean (Cauchy), where the expected largest is infinite.
    """
    below = loc - loc.detach().amax(-1, keepdim=True)  # first, so that large locations cost no digits
    mean = expected_max(torch.zeros(1, dtype=torch.float64, device=loc.device), noise).to(below.dtype)
    return expected_max(below, noise, tolerance=tolerance) - mean - _at(below, target)


def expected_error(
    loc: Float[Tensor, "*batch n"], target: Int[Tensor, "*batch"], noise: Noise, *, tolerance: float | None = None
) -> Float[Tensor, "*batch"]:
    """P(argmax(loc + eps) is not the target), summed over the other classes so that small values keep their digits."""
    probs = perturbed_argmax_probs(loc, noise, tolerance=tolerance)
    return probs.scatter(-1, target.unsqueeze(-1), 0.0).sum(-1)


def _at(values: Tensor, target: Tensor) -> Tensor:
    return values.gather(-1, target.unsqueeze(-1)).squeeze(-1)
