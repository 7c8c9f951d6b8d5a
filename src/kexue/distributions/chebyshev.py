"""Many classes through few points: polynomials that spread weights and interpolate values.

    spread         w_m = sum_j v_j L_m(mu_j)          so that  sum_j v_j f(mu_j) = sum_m w_m f(c_m)
    interpolate    f(mu_i) = sum_m L_m(mu_i) f(c_m)

L_m are the Lagrange polynomials of the Chebyshev points c_m of the interval that holds all locations; both
lines are exact up to the degree, and the error falls as rho^-degree for f analytic about the interval. They are
adjoint, so a gradient through one is the other.

A polynomial of degree A Q - 1 has A Q coefficients, but A + Q numbers per location are enough: the products of
T_0 ... T_{A-1} with T_0(T_A) ... T_{Q-1}(T_A) span it, and a sum over locations is one matrix product. Between those
products and the points stands a linear map: a table where it is small, else a recurrence and a cosine transform.
Source: METHODS.md section 4.5; the idea of the fast Gauss transform (Greengard and Strain, 1991).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

CHUNK = 2**19
"""Numbers in the bases that are in memory at a time."""
LARGEST_TABLE = 1024
"""Points up to which a product with a table, whose size is their square, is the faster one (measured)."""


class Basis(NamedTuple):
    """T_a(t), [rows, A, n'], and T_q(T_A(t)), [rows, Q, n'], at the locations of some columns."""

    columns: slice
    inner: Tensor
    outer: Tensor


@dataclass(frozen=True)
class Chebyshev:
    """The Chebyshev points of one interval per row; `low` and `high` are [rows, 1], low < high, in float64."""

    low: Tensor
    high: Tensor
    num_points: int

    @property
    def points(self) -> Tensor:
        """c, [rows, M], from high to low."""
        nodes = chebyshev_nodes(self.num_points, self.low.device)
        return (self.low + self.high) / 2 + (self.high - self.low) / 2 * nodes

    @cached_property
    def _scaling(self) -> tuple[Tensor, Tensor]:
        """Of the interval to [-1, 1]: a factor and what is then taken off."""
        scale = 2 / (self.high - self.low)
        return scale, self.low * scale + 1

    def rows(self, rows: slice) -> Chebyshev:
        """The same for some of the rows."""
        return Chebyshev(self.low[rows], self.high[rows], self.num_points)

    def bases(self, mu: Tensor) -> Iterator[Basis]:
        """What spread and interpolate need at the locations [rows, n]; a list of it serves several times."""
        width = max(1, CHUNK // (mu.shape[0] * sum(factors(self.num_points))))
        for left in range(0, mu.shape[1], width):
            columns = slice(left, left + width)
            yield Basis(columns, *self._polynomials(mu[:, columns]))

    def spread(self, bases: Iterable[Basis], values: Tensor) -> Tensor:
        """[rows, n] of values at the locations to weights [rows, M] at the points, in float64."""
        num_inner, num_outer = factors(self.num_points)
        moments = torch.zeros(self.low.shape[0], num_outer, num_inner, dtype=torch.float64, device=values.device)
        for columns, inner, outer in bases:
            moments += _product(outer * values[:, None, columns], inner)
        return to_points(moments)

    def interpolate(self, bases: Iterable[Basis], *values: Tensor) -> list[Tensor]:
        """Each [rows, M] of values at the points to [rows, n] at the locations."""
        coefficients = [of_products(own.double()) for own in values]
        parts = [[((own.to(inner) @ inner).mul_(outer)).sum(1) for own in coefficients] for _, inner, outer in bases]
        return [own[0] if len(own) == 1 else torch.cat(own, -1) for own in zip(*parts, strict=True)]

    def _polynomials(self, mu: Tensor) -> tuple[Tensor, Tensor]:
        """Of t, the locations scaled to [-1, 1]."""
        scale, shift = self._scaling
        t = (mu * scale.to(mu)).sub_(shift.to(mu))
        num_inner, num_outer = factors(self.num_points)
        inner = _chebyshev(t, num_inner + 1)
        outer = _chebyshev(inner[num_inner], num_outer)
        return inner[:num_inner].movedim(0, 1), outer.movedim(0, 1)


@lru_cache(maxsize=64)
def chebyshev_nodes(num_points: int, device: torch.device) -> Tensor:
    """The points of [-1, 1], from high to low."""
    return _angles(num_points).cos().to(device)


def lagrange(t: Tensor, num_points: int) -> Tensor:
    """L_m(t) of t [rows, n] in [-1, 1], [rows, n, M], for any number of points."""
    return _chebyshev(t, num_points).movedim(0, -1) @ _transform(num_points, t.device).to(t).mT


def enough_points(degree: int) -> int:
    """The least product of two nearly equal factors above the degree."""
    inner = math.isqrt(max(4, degree)) + 1
    return inner * max(inner - 1, -(-(degree + 1) // inner))


def factors(num_points: int) -> tuple[int, int]:
    """A and Q with A Q = `num_points`: equal, or Q one less."""
    inner = math.ceil(math.sqrt(num_points))
    return inner, num_points // inner


def to_points(moments: Tensor) -> Tensor:
    """Moments of the products T_q(T_A) T_a, [rows, Q, A], to weights at the points, [rows, M]."""
    num_points = moments[0].numel()
    if num_points <= LARGEST_TABLE:
        return moments.flatten(1) @ _table(num_points, moments.device).mT
    orders = [moments[:, 0]]  # T_{A q + a} = 2 T_{A q} T_a - T_{A (q - 1) + A - a}
    for own in moments[:, 1:].unbind(1):
        orders.append(torch.cat([own[:, :1], 2 * own[:, 1:] - orders[-1][:, 1:].flip(-1)], -1))
    scaled = torch.cat(orders, -1) * _phases(num_points, moments.device)
    weights: Tensor = torch.fft.ifft(scaled, n=2 * num_points, norm="forward").real[:, :num_points]
    return weights


def of_products(values: Tensor) -> Tensor:
    """Values at the points, [rows, M], to coefficients of T_q(T_A) T_a, [rows, Q, A]: the adjoint of `to_points`."""
    num_points = values.shape[1]
    num_inner, num_outer = factors(num_points)
    if num_points <= LARGEST_TABLE:
        return (values @ _table(num_points, values.device)).view(-1, num_outer, num_inner)
    phases = _phases(num_points, values.device)
    orders = (torch.fft.fft(values, n=2 * num_points)[:, :num_points] * phases.conj()).real
    coefficients: Tensor = orders.reshape(-1, num_outer, num_inner)
    for outer in range(num_outer - 1, 0, -1):
        coefficients[:, outer - 1, 1:] -= coefficients[:, outer, 1:].flip(-1)
    coefficients[:, 1:, 1:] *= 2
    return coefficients


def _product(outer: Tensor, inner: Tensor) -> Tensor:
    """[rows, Q, n'] times [rows, A, n'] to [rows, Q, A], summed in float64.

    The moments of 50,000 classes are large and what counts of them is small: a sum in float32, of 256 at a time even,
    shows in the fifth digit.
    """
    return outer.double() @ inner.double().mT


def _chebyshev(t: Tensor, count: int) -> Tensor:
    """T_0(t) ... T_{count-1}(t) by their recurrence, [count, rows, n]."""
    table = t.new_empty(count, *t.shape)
    rows = table.unbind(0)
    rows[0].fill_(1)
    rows[1].copy_(t)
    twice = 2 * t
    for k in range(2, count):
        torch.mul(twice, rows[k - 1], out=rows[k]).sub_(rows[k - 2])
    return table


@lru_cache(maxsize=64)
def _table(num_points: int, device: torch.device) -> Tensor:
    """The coefficients of L_m in the products T_q(T_A) T_a, [M, Q A]."""
    return _transform(num_points, device) @ _products(*factors(num_points)).to(device)


@lru_cache(maxsize=64)
def _phases(num_points: int, device: torch.device) -> Tensor:
    """exp(i pi k / 2 M) 2 / M, half of it for k = 0: they make a Fourier transform of length 2 M one of cosines."""
    orders = torch.arange(num_points, dtype=torch.float64)
    phases = torch.polar(torch.full_like(orders, 2 / num_points), orders * (math.pi / (2 * num_points)))
    phases[0] /= 2
    return phases.to(device)


@lru_cache(maxsize=64)
def _transform(num_points: int, device: torch.device) -> Tensor:
    """The coefficients of L_m in T_k, [M, M]: T_k(c_m) 2 / M, and half of it for k = 0."""
    orders = torch.arange(num_points, dtype=torch.float64)
    transform = torch.cos(_angles(num_points)[:, None] * orders) * (2 / num_points)
    transform[:, 0] /= 2
    return transform.to(device)


def _angles(num_points: int) -> Tensor:
    """Whose cosines the points are."""
    return torch.arange(0.5, num_points, dtype=torch.float64) * (math.pi / num_points)


def _products(num_inner: int, num_outer: int) -> Tensor:
    """T_{A q + a} = 2 T_{A q} T_a - T_{A (q - 1) + A - a} in the products, [A Q, Q A]."""
    table = torch.zeros(num_inner * num_outer, num_outer, num_inner, dtype=torch.float64)
    for order in range(num_inner * num_outer):
        outer, inner = divmod(order, num_inner)
        table[order, outer, inner] = 1.0 if outer == 0 or inner == 0 else 2.0
        if outer and inner:
            table[order] -= table[num_inner * outer - inner]
    return table.flatten(1)
