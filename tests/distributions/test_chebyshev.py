"""Between products of polynomials and points: a table and a transform that do the same."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from kexue.distributions import chebyshev
from kexue.distributions.chebyshev import enough_points, factors, of_products, to_points

MANY = enough_points(7000)


def drawn(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("degree", [4, 5, 30, 90, 500])
def test_the_transform_does_what_the_table_does(degree: int, monkeypatch: pytest.MonkeyPatch):
    num_points = enough_points(degree)
    num_inner, num_outer = factors(num_points)
    moments, values = drawn(3, num_outer, num_inner), drawn(3, num_points)
    expected = to_points(moments), of_products(values)
    monkeypatch.setattr(chebyshev, "LARGEST_TABLE", 0)
    torch.testing.assert_close(to_points(moments), expected[0], rtol=0, atol=1e-12)
    torch.testing.assert_close(of_products(values), expected[1], rtol=0, atol=1e-12)


def test_of_many_points_the_moments_of_one_location_are_its_lagrange_polynomials():
    num_inner, num_outer = factors(MANY)
    angle = torch.tensor([0.3, 2.0], dtype=torch.float64)[:, None, None]
    inner = (angle * torch.arange(num_inner)).cos()  # T_a(cos x) = cos(a x)
    outer = (angle * num_inner * torch.arange(num_outer)).cos()
    theta = torch.arange(0.5, MANY, dtype=torch.float64) * (math.pi / MANY)
    orders = torch.arange(1, MANY, dtype=torch.float64)
    some = torch.tensor([0, 1, 660, 668, 4456, MANY - 1])
    cosines = (angle[:, 0] * orders).cos() @ (orders[:, None] * theta[some]).cos()
    torch.testing.assert_close(to_points(outer.mT * inner)[:, some], (1 + 2 * cosines) / MANY, rtol=0, atol=1e-12)


def test_with_many_points_the_two_directions_are_adjoint():
    num_inner, num_outer = factors(MANY)
    moments, values = drawn(2, num_outer, num_inner), drawn(2, MANY)
    torch.testing.assert_close(
        (to_points(moments) * values).sum(), (moments * of_products(values)).sum(), rtol=1e-11, atol=0
    )
