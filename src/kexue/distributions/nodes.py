"""Where to put the nodes of a smooth law: equal steps over the window in which the largest value decides.

    sum over k of delta g(x_k) = int g dx + O(exp(-2 pi d / delta)) for g analytic within d of the real axis

so the step follows from the tolerance and two widths: the strip in which log F is analytic, and the scale on
which M falls off below (the density of M is at most as sharp as Gumbel's: exp(-y - exp(-y)), for which the error
is exp(-pi^2 / step)). Laws with power tails get the steps in u, with x = u + exp(u - B) - exp(A - u): linear
over the locations, and growing as exp(u) beyond them.
Source: Trefethen and Weideman, SIAM Review 56 (2014), on the rule.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from kexue.distributions.accuracy import Accuracy
from kexue.distributions.common_maximum import CommonMaximum
from kexue.distributions.noise import Noise
from kexue.distributions.tails import lower_end, upper_end

NUM_LOOKS = 20
"""Points at which the window is first looked at."""
NUM_LOOKS_HEAVY = 96
"""The same where classes far apart have windows of their own."""
HEAVY_STRIP = 0.36
"""What is left of the strip, in u, by the map that reaches power tails."""
RUNGS = 12
"""Locations between the largest and the least whose integrands are looked at."""
SAFETY = 0.85
"""Of the longest step that theory allows."""
LARGEST_RATE = 50.0
"""Of the fall of M per unit of the noise; bounds the number of nodes."""


@dataclass(frozen=True)
class Line:
    """x as a function of u; linear for light tails."""

    low: Tensor
    heavy: bool

    def x(self, u: Tensor) -> Tensor:
        """The largest value, [rows, K]; the largest location is 0 and the least is `low`."""
        return u + torch.exp(u - 1) - torch.exp(self.low - 1 - u) if self.heavy else u

    def log_slope(self, u: Tensor) -> Tensor:
        """log dx/du."""
        if not self.heavy:
            return torch.zeros_like(u)
        return torch.log1p(torch.exp(u - 1) + torch.exp(self.low - 1 - u))

    def u_below(self, x: Tensor) -> Tensor:
        """Some u with x(u) <= x."""
        low = self.low - 1
        return torch.where(x < low, low - torch.log1p((low - x).clamp(min=0)), x - 2) if self.heavy else x

    def u_above(self, x: Tensor) -> Tensor:
        """Some u with x(u) >= x."""
        return torch.where(x > 1, 1 + torch.log1p((x - 1).clamp(min=0)), x + 2) if self.heavy else x


def smooth_nodes(
    noise: Noise, points: Tensor, weights: Tensor, low: Tensor, accuracy: Accuracy
) -> tuple[Tensor, Tensor]:
    """Nodes x and log weights but for a factor, [rows, K], for locations between `low`, [rows, 1], and 0."""
    line = Line(low, noise.heavy_tailed)
    first, last, rate = window(noise, points, weights, line, accuracy)
    strip = noise.strip * (HEAVY_STRIP if noise.heavy_tailed else 1.0)
    longest = 2 * math.pi * strip / accuracy.nats
    step = SAFETY * (math.pi**2 / (rate * accuracy.nats)).clamp(max=longest)
    count = int(((last - first) / step).amax().ceil()) + 1
    u = _between(first, last, count)
    return line.x(u), line.log_slope(u)


def window(
    noise: Noise, points: Tensor, weights: Tensor, line: Line, accuracy: Accuracy, zooms: int = 1
) -> tuple[Tensor, Tensor, Tensor]:
    """First and last u that count, and the rate at which M falls off, each [rows, 1]; looked at `zooms` times."""
    log_count = math.log(float(weights.sum(-1).amax()))
    first, last = _outer_window(noise, line, accuracy, log_count)
    for _ in range(zooms):
        u = _between(first, last, NUM_LOOKS_HEAVY if noise.heavy_tailed else NUM_LOOKS)
        x = line.x(u)
        log_cdf = CommonMaximum(noise, points, weights, x, torch.zeros_like(x)).log_cdf()
        kept = _kept(noise, line, u, log_cdf, log_count, accuracy)
        count, index = u.shape[1], torch.arange(u.shape[1], device=u.device)
        before = (torch.where(kept, index, count).amin(-1, keepdim=True) - 1).clamp(min=0)
        after = ((kept * index).amax(-1, keepdim=True) + 1).clamp(max=count - 1)
        first, last = u.gather(-1, before), u.gather(-1, after)
    return first, last, _rate(u, log_cdf, accuracy.nats)


def _kept(noise: Noise, line: Line, u: Tensor, log_cdf: Tensor, log_count: float, accuracy: Accuracy) -> Tensor:
    """Where the integrand of some class that counts is within the tolerance of its own peak."""
    nats, log_slope = accuracy.nats, line.log_slope(u)
    ladder = torch.linspace(0, 1, RUNGS if noise.log_concave else 1, dtype=u.dtype, device=u.device)
    z = line.x(u)[:, None] - line.low[..., None] * ladder[:, None]
    exponents = _exponent(noise, z, log_slope[:, None], log_cdf[:, None])
    peaks = exponents.amax(-1, keepdim=True)
    counts = (peaks > peaks[:, :1] - accuracy.depth).roll(1, 1)
    counts[:, 0] = True
    kept = ((exponents > peaks - nats) & counts).any(1)
    if noise.log_concave:
        return kept
    deepest = 1 - noise.log_survival_standard(upper_end(noise, log_count) - line.low)
    return kept | (log_cdf > -(nats + deepest.clamp(max=accuracy.depth)))


def _outer_window(noise: Noise, line: Line, accuracy: Accuracy, log_count: float) -> tuple[Tensor, Tensor]:
    """A window certainly wide enough: more classes than two can only move and narrow it."""
    nats = accuracy.nats
    high = torch.full_like(line.low, upper_end(noise, nats + log_count))
    deepest = min(accuracy.depth, float((1 - noise.log_survival_standard(high - line.low)).max()))
    if noise.heavy_tailed:  # far classes win by the far tail alone
        high = torch.full_like(high, upper_end(noise, nats + deepest + log_count))
    floor = torch.full_like(high, lower_end(noise, nats + deepest))
    if not noise.log_concave:
        return line.u_below(floor), line.u_above(high)
    x = _between(floor, high, 64)
    pair = noise.log_cdf_standard(x) + noise.log_pdf_standard(x - line.low)
    first = (pair < pair.amax(-1, keepdim=True) - nats).long().cumprod(-1).sum(-1, keepdim=True) - 1
    return line.u_below(x.gather(-1, first.clamp(min=0))), line.u_above(high)


def _exponent(noise: Noise, z: Tensor, log_slope: Tensor, log_cdf: Tensor) -> Tensor:
    """log h(z) + G dx/du, -inf where either factor is 0."""
    log_pdf = noise.log_pdf_standard(z)
    never = (log_pdf == -torch.inf) | (log_cdf == -torch.inf)
    return torch.where(never, -torch.inf, log_pdf - noise.log_cdf_standard(z) + log_slope + log_cdf)


def _rate(u: Tensor, log_cdf: Tensor, nats: float) -> Tensor:
    """The steepest -d log(-G)/du where it matters, at least 1/LARGEST_RATE, [rows, 1]."""
    size = (-log_cdf).clamp(min=1e-30)
    fall = -size.log().diff(dim=-1) / u.diff(dim=-1)
    matters = (size[:, :-1] > 0.05) & (size[:, 1:] < nats)
    return torch.where(matters, fall, 0.0).amax(-1, keepdim=True).clamp(1 / LARGEST_RATE, LARGEST_RATE)


def _between(first: Tensor, last: Tensor, count: int) -> Tensor:
    """Equal steps from first to last, both [rows, 1], in [rows, count]."""
    share = torch.linspace(0, 1, count, dtype=first.dtype, device=first.device)
    return first + (last - first) * share
