"""The graph around an algorithm: first derivatives by its own formula, higher ones through its slow twin."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from kexue.distributions.accuracy import Accuracy
from kexue.distributions.algorithm import Algorithm
from kexue.errors import OptionError


def rows_of(loc: Tensor) -> Tensor:
    """[*batch, n] as [rows, n], after a look at the values, which vmap and compile allow only here.

    Raises OptionError for NaN, +inf, and a row whose classes are all absent.
    """
    rows = flat(loc)
    top = rows.amax(-1)
    if not bool(top.isfinite().all()):
        wrong = "NaN" if bool(top.isnan().any()) else "+inf" if bool((top == torch.inf).any()) else "only -inf"
        raise OptionError(f"loc holds {wrong}; each row needs finite numbers, with -inf for classes that are absent")
    return rows


def flat(values: Tensor) -> Tensor:
    """[*batch, n] as [rows, n], where n may be 0."""
    return values.reshape(math.prod(values.shape[:-1]), values.shape[-1])


class LogProbs(torch.autograd.Function):
    """loc [*batch, n], in units of the noise, to log p [*batch, n]; then what the gradient can use again."""

    @staticmethod
    def forward(loc: Tensor, algorithm: Algorithm, accuracy: Accuracy) -> tuple[Tensor, ...]:
        log_probs, state = algorithm.log_probs(rows_of(loc), accuracy)
        return log_probs.view(loc.shape), *(own.view(*loc.shape[:-1], own.shape[-1]) for own in state)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Algorithm, Accuracy], output: tuple[Tensor, ...]) -> None:
        loc, ctx.algorithm, ctx.accuracy = inputs
        ctx.mark_non_differentiable(*output[1:])
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(loc, *output)

    @staticmethod
    def backward(ctx: Any, cotangent: Tensor | None, *_: Tensor | None) -> tuple[Tensor | None, None, None]:
        if cotangent is None:
            return None, None, None
        loc, log_probs, *state = ctx.saved_tensors
        gradient = _Gradient.apply(loc, cotangent, ctx.algorithm, ctx.accuracy, log_probs, *state)  # type: ignore[no-untyped-call]
        return gradient, None, None

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[int | None, ...], loc: Tensor, algorithm: Algorithm, accuracy: Accuracy
    ) -> tuple[tuple[Tensor, ...], Any]:
        outputs = LogProbs.apply(loc.movedim(in_dims[0] or 0, 0), algorithm, accuracy)  # type: ignore[no-untyped-call]
        return outputs, (0,) * len(outputs)


class _Gradient(torch.autograd.Function):
    """sum_i cotangent_i dlog p_i/dloc_j."""

    @staticmethod
    def forward(
        loc: Tensor, cotangent: Tensor, algorithm: Algorithm, accuracy: Accuracy, log_probs: Tensor, *state: Tensor
    ) -> Tensor:
        kept = tuple(flat(own) for own in state)
        return algorithm.gradient(flat(loc), flat(log_probs), kept, flat(cotangent), accuracy).view(loc.shape)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        loc, cotangent, ctx.algorithm, ctx.accuracy, *_ = inputs
        ctx.save_for_backward(loc, cotangent)
        ctx.num_inputs = len(inputs)

    @staticmethod
    def backward(ctx: Any, outer: Tensor) -> tuple[Tensor | None, ...]:
        loc, cotangent = ctx.saved_tensors

        def gradient(loc: Tensor, cotangent: Tensor) -> Tensor:
            rows = flat(loc)
            _, pull = torch.func.vjp(lambda mu: ctx.algorithm.twin(mu, ctx.accuracy), rows)
            result: Tensor = pull(cotangent.reshape(rows.shape))[0].view(loc.shape)
            return result

        _, pull = torch.func.vjp(gradient, loc, cotangent)
        return *pull(outer), *(None,) * (ctx.num_inputs - 2)

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, ...], *inputs: Any) -> tuple[Tensor, int]:
        size = info.batch_size
        tensors = [
            own if not isinstance(own, Tensor) else own.expand(size, *own.shape) if dim is None else own.movedim(dim, 0)
            for own, dim in zip(inputs, in_dims, strict=True)
        ]
        return _Gradient.apply(*tensors), 0  # type: ignore[no-untyped-call]
