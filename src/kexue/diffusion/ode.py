"""Adaptive integration of dy/dt = derivative(t, y), every sample with steps of its own.

    k_i = derivative(t + c_i h, y + h sum_{j<i} a_ij k_j),    y(t + h) = y + h sum_i b_i k_i,    error = h sum_i e_i k_i

The embedded pair of Dormand and Prince 1980, orders 5 and 4; first step and control after Hairer, Norsett and Wanner
1993, II.4. As no sample's steps depend on another's, results do not depend on how samples are put into batches.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from kexue.diffusion.shapes import per_sample
from kexue.errors import OptionError

State = tuple[Tensor, ...]
"""Tensors of shape [batch, ...]."""

Derivative = Callable[[Tensor, State], State]
"""derivative(t, state) -> d state / dt, with t float64[batch]; samples must not see each other."""

NODES = (1 / 5, 3 / 10, 4 / 5, 8 / 9, 1.0, 1.0)
STAGES = (
    (1 / 5,),
    (3 / 40, 9 / 40),
    (44 / 45, -56 / 15, 32 / 9),
    (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
    (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
    (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
)  # the last is the solution of order 5, at which the next step begins: its derivative is used again
ERROR = (71 / 57600, 0.0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40)
ORDER = 5
SAFETY, SHRINK, GROW = 0.9, 0.2, 10.0


class Solution(NamedTuple):
    """The state at the end, and how often the derivative was taken."""

    state: State
    num_calls: int


def integrate(
    derivative: Derivative,
    state: State,
    start: float,
    end: float,
    *,
    rtol: float = 1e-5,
    atol: float = 1e-5,
    max_calls: int = 10_000,
    on_step: Callable[[Tensor, State], None] | None = None,
) -> Solution:
    """The state at `end` of what is `state` at `start`; `end` may be before `start`.

    The error of a step is held at atol + rtol |y|, as the root of the mean square over each tensor of a sample.
    `on_step(t, state)` is called after each step, t float64[batch]. Raises OptionError where the end is not reached
    within `max_calls` calls of the derivative, or the derivative is not finite.
    """
    t = torch.full((len(state[0]),), start, dtype=torch.float64, device=state[0].device)
    k = derivative(t, state)
    h = _first_step(derivative, t, state, k, end, rtol, atol)
    num_calls = 2
    while not bool((t == end).all()):
        num_calls += len(STAGES)
        if num_calls > max_calls:
            raise OptionError(_stuck(t, start, end, max_calls))
        last = h.abs() >= (end - t).abs()
        h = torch.where(last, end - t, h)
        proposal, slopes = _step(derivative, t, state, k, h)
        error = _size(_combine(h, slopes, ERROR), state, proposal, rtol, atol)
        accepted = error <= 1
        t = torch.where(accepted, torch.where(last, end, t + h), t)
        state, k = (_where(accepted, new, old) for new, old in ((proposal, state), (slopes[-1], k)))
        h = h * _growth(error, accepted)
        if on_step is not None:
            on_step(t, state)
    return Solution(state, num_calls)


def _step(derivative: Derivative, t: Tensor, state: State, k: State, h: Tensor) -> tuple[State, list[State]]:
    slopes, proposal = [k], state
    for node, weights in zip(NODES, STAGES, strict=True):
        proposal = _add(state, _combine(h, slopes, weights))
        slopes.append(derivative(t + node * h, proposal))
    return proposal, slopes


def _first_step(
    derivative: Derivative, t: Tensor, state: State, k: State, end: float, rtol: float, atol: float
) -> Tensor:
    """A step after which the solution has changed by about a hundredth, by its slope and how the slope changes."""
    direction = torch.sign(end - t)
    size, slope = (_size(value, state, state, rtol, atol) for value in (state, k))
    trial = torch.where((size < 1e-5) | (slope < 1e-5), 1e-6, 0.01 * size / slope).minimum((end - t).abs()) * direction
    moved = derivative(t + trial, _add(state, _combine(trial, [k], (1.0,))))
    bend = _size(tuple(a - b for a, b in zip(moved, k, strict=True)), state, state, rtol, atol) / trial.abs()
    steepest = slope.maximum(bend)
    return ((0.01 / steepest) ** (1 / ORDER)).minimum(100 * trial.abs()) * direction


def _growth(error: Tensor, accepted: Tensor) -> Tensor:
    """By how much the next step is longer: so that its error would be a little below what is allowed."""
    factor = (SAFETY * error ** (-1 / ORDER)).clamp(SHRINK, GROW)
    return torch.where(accepted, factor, factor.clamp(max=1.0))


def _size(value: State, one: State, other: State, rtol: float, atol: float) -> Tensor:
    """How large each sample's value is, in units of what is allowed: float64[batch]."""
    sizes = [
        (v / (atol + rtol * torch.maximum(a.abs(), b.abs()))).double().flatten(1).square().mean(1).sqrt()
        for v, a, b in zip(value, one, other, strict=True)
    ]
    return torch.stack(sizes).amax(0)


def _combine(h: Tensor, slopes: Sequence[State], weights: Sequence[float]) -> State:
    """h times the weighted sum of the slopes."""
    return tuple(
        per_sample(h.to(parts[0].dtype), parts[0]) * sum(w * part for w, part in zip(weights, parts, strict=True) if w)
        for parts in zip(*slopes, strict=True)
    )


def _add(state: State, change: State) -> State:
    return tuple(a + b for a, b in zip(state, change, strict=True))


def _where(chosen: Tensor, new: State, old: State) -> State:
    return tuple(torch.where(per_sample(chosen, a), a, b) for a, b in zip(new, old, strict=True))


def _stuck(t: Tensor, start: float, end: float, max_calls: int) -> str:
    where = (
        f"from t={start:g} the slowest sample came to t={float(t[(end - t).abs().argmax()]):g} on the way to {end:g}"
    )
    return f"no solution within max_calls={max_calls}: {where}; end farther from t=0, or raise rtol and atol"
