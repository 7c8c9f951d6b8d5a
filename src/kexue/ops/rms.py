"""Vectors divided by their root mean square, keeping the result alone for the backward pass.

    y = x r,   r = (mean x^2 + tiny)^(-1/2)          dx = r (dy - y mean(y dy))

The result is kept by whatever comes next anyway, so the norm costs no memory. Zhang and Sennrich 2019.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from kexue.ops.precision import exact_dtype


def rms_norm(x: Float[Tensor, "*batch dim"], tiny: float = 1e-6) -> Float[Tensor, "*batch dim"]:
    """Every vector at root mean square 1; computed in float32 at least, of the dtype of `x`."""
    out: Tensor = _RMSNorm.apply(x, tiny)  # type: ignore[no-untyped-call]
    return out


class _RMSNorm(torch.autograd.Function):
    """See the module."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, tiny: float) -> Tensor:
        exact = x.to(exact_dtype(x))
        rate = torch.linalg.vecdot(exact, exact).div_(x.shape[-1]).add_(tiny).rsqrt_().unsqueeze(-1)
        y: Tensor = exact * rate
        if y.dtype != x.dtype:  # a cast to the same dtype makes torch 2.11 compile a wrong gradient of what is kept
            y = y.to(x.dtype)
        ctx.save_for_backward(y, rate)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        y, rate = ctx.saved_tensors
        exact, d_y = y.to(rate.dtype), gradient.to(rate.dtype)
        along = torch.linalg.vecdot(exact, d_y).div_(-y.shape[-1]).unsqueeze(-1)
        d_x: Tensor = torch.addcmul(d_y, exact, along).mul_(rate).to(gradient.dtype)
        return d_x, None
