"""The probabilities of argmax(loc + noise), their logarithms, and the potential E[max(loc + noise)].

    p_i = P(argmax_j(loc_j + eps_j) = i),     G(loc) = E[max_j(loc_j + eps_j)],     grad G = p

The facts of a law choose the algorithm; every law offers the same functions, derivatives of any order, and
`torch.func.vmap`. `torch.compile` keeps each as one node of its graph.
Source: Su, kexue.fm/archives/9085 (2022).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from kexue.distributions import operators
from kexue.distributions.accuracy import Accuracy
from kexue.distributions.algorithm import Algorithm
from kexue.distributions.autograd import LogProbs, rows_of
from kexue.distributions.exponential_form import ExponentialForm
from kexue.distributions.noise import Exponential, Gumbel, NegatedExponential, Noise
from kexue.distributions.piecewise import PiecewiseQuadrature
from kexue.distributions.quadrature import SmoothQuadrature
from kexue.distributions.softmax_form import SoftmaxForm
from kexue.distributions.sorted_form import SortedForm
from kexue.errors import OptionError
from kexue.ops.precision import exact_dtype, without_autocast

CLOSED_FORMS: dict[type[Noise], type[Algorithm]] = {
    Gumbel: SoftmaxForm,
    Exponential: ExponentialForm,
    NegatedExponential: SortedForm,
}
"""Laws with a form of their own; the others are integrated, in pieces where the density has kinks."""


def algorithm_for(noise: Noise) -> Algorithm:
    """The algorithm that suits the facts of the law."""
    generic = PiecewiseQuadrature if noise.kinks else SmoothQuadrature
    return CLOSED_FORMS.get(type(noise), generic)(noise)


def perturbed_argmax_log_probs(loc: Tensor, noise: Noise, dim: int = -1, *, tolerance: float | None = None) -> Tensor:
    """log P(argmax(loc + noise) = i) along `dim`, of the shape of `loc`; float32 at least.

    `tolerance` is relative to p at every p above exp(-760); by default the rounding of the result. -inf in `loc`
    takes a class out: log p is -inf and has no gradient, as where bounded noise cannot close the gap.

    Raises OptionError for NaN or +inf in `loc`, for no class at all, and for a tolerance outside (0, 1).
    """
    accuracy = Accuracy.of_log_probs(tolerance, exact_dtype(loc))
    return _log_probs(loc, noise, dim, accuracy)


def perturbed_argmax_probs(loc: Tensor, noise: Noise, dim: int = -1, *, tolerance: float | None = None) -> Tensor:
    """P(argmax(loc + noise) = i) along `dim`, of the shape of `loc`; takes the place of a softmax.

    `tolerance` is an absolute error; what is smaller costs nothing, so this is faster than the logarithms. Else
    as `perturbed_argmax_log_probs`.
    """
    return _log_probs(loc, noise, dim, Accuracy.of_probs(tolerance, exact_dtype(loc))).exp()


def expected_max(loc: Tensor, noise: Noise, dim: int = -1, *, tolerance: float | None = None) -> Tensor:
    """E[max(loc + noise)] along `dim`, which is dropped; convex, and its gradient is the probabilities.

    Raises OptionError for noise without a mean, such as Cauchy; else as `perturbed_argmax_log_probs`.
    """
    if not noise.has_mean:
        raise OptionError(f"{noise} has no mean, so E[max] is not finite; use the probabilities instead")
    accuracy = Accuracy.of_probs(tolerance, exact_dtype(loc))
    last = _checked(loc, dim).movedim(dim, -1) / noise.scale
    if last.numel() == 0:
        return last[..., 0]
    potential: Tensor = _potential(last, algorithm_for(noise), accuracy)
    return noise.scale * potential


def perturbed_argmax_error(loc: Tensor, noise: Noise, dim: int = -1, *, tolerance: float | None = None) -> Tensor:
    """An estimate of the largest absolute error of the probabilities, `dim` dropped.

    The difference to the probabilities in float64 with nodes and points for the square of the tolerance.
    """
    with torch.no_grad():
        probs: Tensor = perturbed_argmax_probs(loc, noise, dim, tolerance=tolerance).double()
        used = Accuracy.of_probs(tolerance, exact_dtype(loc)).tolerance
        better = perturbed_argmax_probs(loc.double(), noise, dim, tolerance=used**2)
        return (probs - better).abs().amax(dim)


def _log_probs(loc: Tensor, noise: Noise, dim: int, accuracy: Accuracy) -> Tensor:
    last = _checked(loc, dim).movedim(dim, -1) / noise.scale
    log_probs: Tensor = last if last.numel() == 0 else _log_probs_last(last, algorithm_for(noise), accuracy)
    return log_probs.movedim(-1, dim)


def _log_probs_last(loc: Tensor, algorithm: Algorithm, accuracy: Accuracy) -> Tensor:
    log_probs: Tensor
    if torch.compiler.is_compiling():
        log_probs = operators.log_probs(loc, operators.number_of(algorithm, accuracy))
        return log_probs
    with without_autocast(loc):
        log_probs = LogProbs.apply(loc, algorithm, accuracy)[0]  # type: ignore[no-untyped-call]
        return log_probs


def _potential(loc: Tensor, algorithm: Algorithm, accuracy: Accuracy) -> Tensor:
    potential: Tensor
    if torch.compiler.is_compiling():
        potential = operators.potential(loc, operators.number_of(algorithm, accuracy))
        return potential
    with without_autocast(loc):
        potential = _Potential.apply(loc, algorithm, accuracy)  # type: ignore[no-untyped-call]
        return potential


def _checked(loc: Tensor, dim: int) -> Tensor:
    """In the dtype to compute in."""
    if not loc.dtype.is_floating_point:
        raise OptionError(f"loc holds floating point numbers, not {loc.dtype}")
    if loc.dim() == 0 or loc.shape[dim] == 0:
        raise OptionError(f"loc needs at least one class along dim {dim}, but its shape is {tuple(loc.shape)}")
    return loc.to(exact_dtype(loc))


class _Potential(torch.autograd.Function):
    """E[max] of loc [*batch, n] in units of the noise, with the probabilities as gradient."""

    @staticmethod
    def forward(loc: Tensor, algorithm: Algorithm, accuracy: Accuracy) -> Tensor:
        return algorithm.potential(rows_of(loc), accuracy).to(loc.dtype).view(loc.shape[:-1])

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Algorithm, Accuracy], output: Tensor) -> None:
        loc, ctx.algorithm, ctx.accuracy = inputs
        ctx.save_for_backward(loc)

    @staticmethod
    def backward(ctx: Any, cotangent: Tensor) -> tuple[Tensor, None, None]:
        (loc,) = ctx.saved_tensors
        return cotangent.unsqueeze(-1) * _log_probs_last(loc, ctx.algorithm, ctx.accuracy).exp(), None, None

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[int | None, ...], loc: Tensor, algorithm: Algorithm, accuracy: Accuracy
    ) -> tuple[Tensor, int]:
        return _Potential.apply(loc.movedim(in_dims[0] or 0, 0), algorithm, accuracy), 0  # type: ignore[no-untyped-call]
