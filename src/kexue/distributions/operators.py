"""The algorithms as operators that torch.compile keeps in its graph, each as one node that it does not look into.

How many nodes and points there are depends on the values of the locations, so the algorithms themselves cannot be
traced. An operator takes tensors and numbers: a law with its accuracy goes by the number under which it is `KNOWN`
to the process. What the forward pass found has no shape that is known before, so it is not kept for the backward pass
but computed again; outside torch.compile it is kept (`autograd`).
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import torch
from torch import Tensor

from kexue.distributions.accuracy import Accuracy
from kexue.distributions.algorithm import Algorithm
from kexue.distributions.autograd import flat, rows_of
from kexue.distributions.noise import Noise
from kexue.ops.precision import without_autocast

KNOWN: list[tuple[Algorithm, Accuracy]] = []


def number_of(algorithm: Algorithm, accuracy: Accuracy) -> int:
    """Where a pair is in `KNOWN`, while torch.compile looks on; taken apart, because it knows only what is inside."""
    noise = algorithm.noise
    values = tuple(getattr(noise, own.name) for own in fields(noise))
    number: int = _number_of(type(algorithm), type(noise), values, accuracy.tolerance, accuracy.depth)
    return number


@torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
def _number_of(
    algorithm: type[Algorithm], noise: type[Noise], values: tuple[Any, ...], tolerance: float, depth: float
) -> int:
    pair = algorithm(noise(*values)), Accuracy(tolerance, depth)
    if pair not in KNOWN:
        KNOWN.append(pair)
    return KNOWN.index(pair)


@torch.library.custom_op("kexue::argmax_log_probs", mutates_args=())
def log_probs(loc: Tensor, number: int) -> Tensor:
    """log p, float[*batch, n]."""
    algorithm, accuracy = KNOWN[number]
    with without_autocast(loc):
        return algorithm.log_probs(rows_of(loc), accuracy)[0].reshape(loc.shape).contiguous()


@torch.library.custom_op("kexue::argmax_gradient", mutates_args=())
def gradient(loc: Tensor, cotangent: Tensor, number: int) -> Tensor:
    """sum_i cotangent_i dlog p_i/dloc_j, float[*batch, n]."""
    algorithm, accuracy = KNOWN[number]
    with without_autocast(loc):
        rows = flat(loc)
        found, state = algorithm.log_probs(rows, accuracy)
        return algorithm.gradient(rows, found, state, flat(cotangent), accuracy).reshape(loc.shape).contiguous()


@torch.library.custom_op("kexue::argmax_potential", mutates_args=())
def potential(loc: Tensor, number: int) -> Tensor:
    """E[max], float[*batch]."""
    algorithm, accuracy = KNOWN[number]
    with without_autocast(loc):
        return algorithm.potential(rows_of(loc), accuracy).to(loc.dtype).reshape(loc.shape[:-1])


@log_probs.register_fake
def _(loc: Tensor, number: int) -> Tensor:
    return torch.empty_like(loc, memory_format=torch.contiguous_format)


@gradient.register_fake
def _(loc: Tensor, cotangent: Tensor, number: int) -> Tensor:
    return torch.empty_like(loc, memory_format=torch.contiguous_format)


@potential.register_fake
def _(loc: Tensor, number: int) -> Tensor:
    return loc.new_empty(loc.shape[:-1])


def _keep(ctx: Any, inputs: tuple[Tensor, int], output: Tensor) -> None:
    loc, ctx.number = inputs
    ctx.save_for_backward(loc)


def _log_probs_backward(ctx: Any, cotangent: Tensor) -> tuple[Tensor, None]:
    (loc,) = ctx.saved_tensors
    return gradient(loc, cotangent, ctx.number), None


def _potential_backward(ctx: Any, cotangent: Tensor) -> tuple[Tensor, None]:
    (loc,) = ctx.saved_tensors
    return cotangent.unsqueeze(-1) * log_probs(loc, ctx.number).exp(), None


log_probs.register_autograd(_log_probs_backward, setup_context=_keep)
potential.register_autograd(_potential_backward, setup_context=_keep)


@log_probs.register_vmap
def _(info: Any, in_dims: tuple[int, None], loc: Tensor, number: int) -> tuple[Tensor, int]:
    return log_probs(loc.movedim(in_dims[0], 0), number), 0


@gradient.register_vmap
def _(info: Any, in_dims: tuple[int | None, ...], loc: Tensor, cotangent: Tensor, number: int) -> tuple[Tensor, int]:
    loc, cotangent = (
        own.expand(info.batch_size, *own.shape) if dim is None else own.movedim(dim, 0)
        for own, dim in zip((loc, cotangent), in_dims, strict=False)
    )
    return gradient(loc, cotangent, number), 0


@potential.register_vmap
def _(info: Any, in_dims: tuple[int, None], loc: Tensor, number: int) -> tuple[Tensor, int]:
    return potential(loc.movedim(in_dims[0], 0), number), 0
