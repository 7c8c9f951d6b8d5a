"""Discrete laws defined by how they are drawn: the index of the largest of location plus noise."""

from __future__ import annotations

from kexue.distributions.losses import cross_entropy, expected_error, fenchel_young
from kexue.distributions.noise import (
    NOISES,
    Cauchy,
    CustomNoise,
    Exponential,
    Gumbel,
    Laplace,
    Logistic,
    NegatedExponential,
    Noise,
    Normal,
    StudentT,
    Triangular,
    Uniform,
)
from kexue.distributions.perturbed_argmax import PerturbedArgmax
from kexue.distributions.probabilities import (
    expected_max,
    perturbed_argmax_error,
    perturbed_argmax_log_probs,
    perturbed_argmax_probs,
)
from kexue.distributions.published import published_argmax_probs
from kexue.distributions.relaxed import Relaxation, Relaxed, StraightThrough, StraightThroughRelaxed

__all__ = [
    "NOISES",
    "Cauchy",
    "CustomNoise",
    "Exponential",
    "Gumbel",
    "Laplace",
    "Logistic",
    "NegatedExponential",
    "Noise",
    "Normal",
    "PerturbedArgmax",
    "Relaxation",
    "Relaxed",
    "StraightThrough",
    "StraightThroughRelaxed",
    "StudentT",
    "Triangular",
    "Uniform",
    "cross_entropy",
    "expected_error",
    "expected_max",
    "fenchel_young",
    "perturbed_argmax_error",
    "perturbed_argmax_log_probs",
    "perturbed_argmax_probs",
    "published_argmax_probs",
]
