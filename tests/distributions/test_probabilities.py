"""Probabilities, their logarithms and E[max] against quadrature class by class, and the parts they are made of."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from tests.reference import argmax as reference
from torch import Tensor

from kexue.distributions.accuracy import Accuracy
from kexue.distributions.chebyshev import Chebyshev, enough_points, factors
from kexue.distributions.nodes import Line
from kexue.distributions.noise import NOISES, CustomNoise, Gumbel, Logistic, Normal, Triangular
from kexue.distributions.probabilities import (
    algorithm_for,
    expected_max,
    perturbed_argmax_error,
    perturbed_argmax_log_probs,
    perturbed_argmax_probs,
)
from kexue.distributions.published import published_argmax_probs
from kexue.errors import OptionError

EVERY = pytest.mark.parametrize("law", list(NOISES))
SCALES = pytest.mark.parametrize("scale", [0.0, 0.01, 1.0, 10.0, 100.0])


def locations(n: int, scale: float) -> Tensor:
    """Drawn from a normal law and exact in float32; two are tied."""
    loc = np.random.default_rng(n).normal(size=n) * scale
    if n > 2:
        loc[1] = loc[0]
    return torch.from_numpy(loc.astype(np.float32).astype(np.float64))


@EVERY
@SCALES
@pytest.mark.parametrize("n", [2, 3, 40])
def test_probabilities_are_those_of_quadrature_class_by_class(law: str, n: int, scale: float) -> None:
    loc, noise = locations(n, scale), NOISES[law]()
    expected = torch.from_numpy(reference.log_probs(loc.numpy(), law))
    probs = perturbed_argmax_probs(loc, noise)
    torch.testing.assert_close(probs, expected.exp(), rtol=0, atol=1e-12)
    torch.testing.assert_close(probs.sum(), torch.ones((), dtype=torch.float64), rtol=0, atol=1e-14)
    single = perturbed_argmax_probs(loc.float(), noise)
    torch.testing.assert_close(single.double(), expected.exp(), rtol=0, atol=5e-7)
    held = expected > -700
    for dtype, relative in ((torch.float64, 1e-10), (torch.float32, 1e-6)):
        log_probs = perturbed_argmax_log_probs(loc.to(dtype), noise).double()
        torch.testing.assert_close(log_probs[held], expected[held], rtol=relative, atol=relative)


@pytest.mark.parametrize(("law", "gap", "counts"), [("triangular", 1.0, (299, 1)), ("laplace", 30.0, (1, 59))])
def test_one_class_far_from_many_that_are_tied_keeps_the_digits_of_all(
    law: str, gap: float, counts: tuple[int, int]
) -> None:
    """Where the many need more pieces than their window is long."""
    distinct, repeats = torch.tensor([0.0, -gap], dtype=torch.float64), torch.tensor(counts)
    expected = torch.from_numpy(reference.log_probs(distinct.numpy(), law, repeats.double().numpy()))
    log_probs = perturbed_argmax_log_probs(distinct.repeat_interleave(repeats), NOISES[law]())
    torch.testing.assert_close(log_probs, expected.repeat_interleave(repeats), rtol=0, atol=2e-12)


@EVERY
def test_zero_is_exact_where_bounded_noise_cannot_close_the_gap(law: str) -> None:
    noise = NOISES[law]()
    width = noise.upper - noise.lower if noise.sparse else 2.0
    loc = torch.tensor([0.0, -width * (1 - 1e-9), -width, -width * 1.5], dtype=torch.float64)
    probs, log_probs = perturbed_argmax_probs(loc, noise), perturbed_argmax_log_probs(loc, noise)
    assert ((probs == 0).tolist() == [False, False, True, True]) == noise.sparse
    assert ((log_probs == -math.inf).tolist() == [False, False, True, True]) == noise.sparse


@pytest.mark.parametrize("law", [name for name, law in NOISES.items() if law().has_mean])
@pytest.mark.parametrize("scale", [0.0, 1.0, 10.0])
def test_the_expected_largest_is_that_of_quadrature(law: str, scale: float) -> None:
    loc = locations(7, scale)
    expected = reference.expected_max(loc.numpy(), law)
    assert expected_max(loc, NOISES[law]()).item() == pytest.approx(expected, abs=1e-10)
    assert expected_max(loc.float(), NOISES[law]()).item() == pytest.approx(expected, rel=1e-6, abs=2e-6)


@pytest.mark.parametrize(
    ("law", "expected"),
    [
        ("gumbel", (0.393942, 0.195626, 0.087900, 0.322532)),
        ("normal", (0.437942, 0.173280, 0.046226, 0.342552)),
        ("exponential", (0.441450, 0.169624, 0.070210, 0.318716)),
        ("negated_exponential", (0.538159, 0.098121, 0.006831, 0.356889)),
        ("uniform", (0.6665, 0.0180, 0.0, 0.3155)),
    ],
)
def test_the_reference_values_of_the_closed_forms_come_out(law: str, expected: tuple[float, ...]) -> None:
    probs = perturbed_argmax_probs(torch.tensor([1.0, 0.3, -0.5, 0.8], dtype=torch.float64), NOISES[law]())
    torch.testing.assert_close(probs, torch.tensor(expected, dtype=torch.float64), rtol=0, atol=6e-7)


@EVERY
def test_a_class_at_any_depth_keeps_the_order_and_a_finite_logarithm_where_it_can_win(law: str) -> None:
    noise = NOISES[law]()
    loc = -torch.linspace(0, 3000, 60, dtype=torch.float64)
    log_probs = perturbed_argmax_log_probs(loc, noise)
    assert bool((log_probs.diff() < 0)[log_probs[1:].isfinite()].all())
    assert bool(log_probs.isfinite().all()) or noise.sparse
    assert not bool(log_probs.isnan().any())


@pytest.mark.parametrize("law", [name for name, law in NOISES.items() if law().last_piece])
def test_an_absent_class_moves_no_node(law: str) -> None:
    loc, accuracy = torch.zeros(1, 3, dtype=torch.float64), Accuracy.of_probs(None, torch.float64)
    absent = torch.nn.functional.pad(loc, (0, 1), value=-torch.inf)
    states = [algorithm_for(NOISES[law]()).log_probs(own, accuracy)[1] for own in (loc, absent)]
    torch.testing.assert_close(states[1][1], states[0][1])


@pytest.mark.parametrize("tolerance", [1e-4, 1e-8])
@pytest.mark.parametrize("law", ["normal", "logistic", "student_t", "exponential", "laplace"])
def test_the_error_stays_below_the_tolerance_and_is_estimated(law: str, tolerance: float) -> None:
    loc = locations(40, 1.5)
    expected = torch.from_numpy(reference.probs(loc.numpy(), law))
    error = (perturbed_argmax_probs(loc, NOISES[law](), tolerance=tolerance) - expected).abs().amax()
    estimate = perturbed_argmax_error(loc, NOISES[law](), tolerance=tolerance)
    assert error <= tolerance
    torch.testing.assert_close(estimate, error, rtol=0.01, atol=1e-14)


def test_ends_of_a_window_over_power_tails_are_on_the_safe_side() -> None:
    low = -torch.logspace(-1, 5, 7, dtype=torch.float64)[:, None]
    far, line = torch.sinh(torch.linspace(0, 20, 201, dtype=torch.float64)), Line(low, heavy=True)
    assert bool((line.x(line.u_below(-far)) <= -far).all()) and bool((line.x(line.u_above(far)) >= far).all())


def test_a_smaller_tolerance_takes_more_nodes() -> None:
    counts = []
    for tolerance in (1e-4, 1e-8, 1e-13):
        algorithm, accuracy = algorithm_for(Normal()), Accuracy.of_probs(tolerance, torch.float64)
        counts.append(algorithm.log_probs(locations(40, 1.0)[None], accuracy)[1][2].shape[-1])
    assert counts == sorted(set(counts))


def test_a_law_of_ones_own_gives_what_the_built_in_one_gives() -> None:
    loc = locations(6, 1.0)
    own = CustomNoise(
        scale=0.7, cdf_function=torch.sigmoid, pdf_function=lambda z: torch.sigmoid(z) * torch.sigmoid(-z), width=3.0
    )
    torch.testing.assert_close(perturbed_argmax_probs(loc, own), perturbed_argmax_probs(loc, Logistic(scale=0.7)))
    kinked = CustomNoise(
        cdf_function=Triangular().cdf, pdf_function=Triangular().pdf, support=(-1.0, 1.0), kink_points=(0.0,)
    )
    torch.testing.assert_close(perturbed_argmax_probs(loc, kinked), perturbed_argmax_probs(loc, Triangular()))


def test_the_quadrature_of_the_article_is_biased_as_its_formula_says() -> None:
    equal = torch.zeros(100, dtype=torch.float64)
    t = torch.arange(1, 101, dtype=torch.float64) / 101
    total = published_argmax_probs(equal, Normal(), 100).sum()
    torch.testing.assert_close(total, 100 * t.pow(99).mean())
    assert total.item() == pytest.approx(0.59, abs=5e-3)
    assert published_argmax_probs(equal, Normal(), 100, normalised=True).sum().item() == pytest.approx(1)


def test_the_quadrature_of_the_article_tends_to_the_probabilities_with_an_error_like_1_over_k() -> None:
    loc = torch.tensor([1.0, 0.3, -0.5, 0.8], dtype=torch.float64)
    exact = perturbed_argmax_probs(loc, Normal())
    errors = [(published_argmax_probs(loc, Normal(), k) - exact).abs().amax().item() for k in (100, 1000, 10000)]
    assert 5 < errors[0] / errors[1] < 15
    assert 5 < errors[1] / errors[2] < 15


@pytest.mark.parametrize("tolerance", [0.0, 1.0, -1e-3])
def test_a_tolerance_that_is_none_is_refused(tolerance: float) -> None:
    with pytest.raises(OptionError, match="tolerance"):
        perturbed_argmax_probs(torch.zeros(3), Normal(), tolerance=tolerance)


def test_integers_are_refused() -> None:
    with pytest.raises(OptionError, match="floating point"):
        perturbed_argmax_probs(torch.zeros(3, dtype=torch.long), Gumbel())


@pytest.mark.parametrize(
    ("row", "said"),
    [([0.0, math.nan], "NaN"), ([math.inf, 0.0], r"\+inf"), ([-math.inf, -math.inf], "only -inf")],
)
def test_values_that_are_no_locations_are_named(row: list[float], said: str) -> None:
    with pytest.raises(OptionError, match=f"loc holds {said};"):
        perturbed_argmax_probs(torch.tensor([[0.0, 1.0], row]), Normal())


@pytest.mark.parametrize("num_points", sorted({enough_points(degree) for degree in range(1, 200)}))
def test_chebyshev_points_hold_polynomials_exactly_and_spreading_is_the_transpose(num_points: int) -> None:
    inner, outer = factors(num_points)
    assert inner * outer == num_points and inner - outer in (0, 1)
    generator = torch.Generator().manual_seed(0)
    low = torch.tensor([[-3.0], [-0.5]], dtype=torch.float64)
    mu = low * torch.rand(2, 90, generator=generator, dtype=torch.float64)
    grid = Chebyshev(low, torch.zeros_like(low), num_points)
    degree = num_points - 1
    value = torch.cos(degree * torch.acos(1 - 2 * mu / low))
    (found,) = grid.interpolate(
        grid.bases(mu), torch.cos(degree * torch.acos((1 - 2 * grid.points / low).clamp(-1, 1)))
    )
    torch.testing.assert_close(found, value, rtol=0, atol=1e-9)
    at_points = torch.randn(2, num_points, generator=generator, dtype=torch.float64)
    at_classes = torch.randn(2, 90, generator=generator, dtype=torch.float64)
    (there,) = grid.interpolate(grid.bases(mu), at_points)
    back = grid.spread(grid.bases(mu), at_classes)
    torch.testing.assert_close((there * at_classes).sum(-1), (at_points * back).sum(-1))
