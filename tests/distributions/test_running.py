"""Laws with kinks over very many classes: running sums against every pair, and against exact integrals."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.reference import argmax as reference
from torch import Tensor

from kexue.distributions import piecewise
from kexue.distributions.accuracy import Accuracy
from kexue.distributions.noise import NOISES
from kexue.distributions.piecewise import PiecewiseQuadrature
from kexue.distributions.probabilities import expected_max, perturbed_argmax_log_probs, perturbed_argmax_probs

KINKED = [name for name, law in NOISES.items() if law().last_piece]
each_law = pytest.mark.parametrize("law", KINKED)


def locations(*shape: int, scale: float) -> Tensor:
    return torch.from_numpy(np.random.default_rng(0).normal(size=shape) * scale)


@each_law
@pytest.mark.parametrize("scale", [0.01, 0.3, 3.0, 60.0])
@pytest.mark.parametrize("function", [perturbed_argmax_probs, perturbed_argmax_log_probs, expected_max])
def test_running_sums_give_what_every_pair_of_class_and_node_gives(
    law: str, scale: float, function, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also for a batch whose rows differ in how many classes can win, and with absent classes."""
    loc = torch.linspace(0.1, 1, 3)[:, None] * locations(3, 200, scale=scale)
    loc[1, 20:60] = -torch.inf

    def value_and_gradient() -> tuple[Tensor, Tensor]:
        leaf = loc.clone().requires_grad_()
        value = function(leaf, NOISES[law]())
        weights = torch.cos(torch.arange(value.numel(), dtype=torch.float64)).view_as(value)
        (gradient,) = torch.autograd.grad((value.masked_fill(value == -torch.inf, 0.0) * weights).sum(), leaf)
        return value.detach(), gradient

    running = value_and_gradient()
    monkeypatch.setattr(piecewise, "FEW", 1000)
    every_pair = value_and_gradient()
    torch.testing.assert_close(running[0], every_pair[0], rtol=1e-11, atol=1e-12)
    torch.testing.assert_close(running[1], every_pair[1], rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(("law", "scale"), [("uniform", 0.3), ("triangular", 0.3), ("laplace", 1.0)])
def test_few_points_stand_for_many_classes(law: str, scale: float) -> None:
    form, accuracy = PiecewiseQuadrature(NOISES[law]()), Accuracy.of_probs(None, torch.float64)
    mu = locations(1, 2000, scale=scale)
    _, pieces, index = form._prepare(mu, accuracy)
    points, counts = piecewise._chosen(piecewise.Locations.of(mu, torch.inf), index)
    for _, rule in form._rules(pieces, points, counts, accuracy):
        assert sum(cell.points.shape[1] for cell in rule.cells) < index.shape[1] / 4


@each_law
@pytest.mark.parametrize("scale", [0.01, 0.2, 1.0])
def test_a_thousand_distinct_locations_have_the_integrals_between_their_kinks(law: str, scale: float) -> None:
    loc = locations(1000, scale=scale)
    expected = torch.from_numpy(integrals(loc.numpy(), law))
    probs = perturbed_argmax_probs(loc, NOISES[law]())
    torch.testing.assert_close(probs, expected, rtol=0, atol=1e-14)
    single = perturbed_argmax_probs(loc.float(), NOISES[law]()).double()
    exact = perturbed_argmax_probs(loc.float().double(), NOISES[law]())
    torch.testing.assert_close(single, exact, rtol=0, atol=1e-7)


def integrals(mu: np.ndarray, law: str) -> np.ndarray:
    """p_i = int h(x - mu_i) exp G dx with eight Gauss nodes between all kinks, every pair of class and node."""
    log_pdf, log_cdf, kinks = reference.LAWS[law]
    begin = mu.max() + (kinks[0] if len(kinks) > 1 else 0.0)
    grid = np.linspace(begin, mu.max() + max(1.0, 40.0 * (len(kinks) == 1)), 300)
    breaks = np.unique(np.concatenate([grid, *(mu + kink for kink in kinks)]))
    breaks = breaks[(breaks >= begin) & (breaks <= grid[-1])]
    gauss, weights = np.polynomial.legendre.leggauss(8)
    nodes = breaks[:-1, None] + np.diff(breaks)[:, None] * (gauss + 1) / 2
    weights = np.diff(breaks)[:, None] * weights / 2
    with np.errstate(divide="ignore"):
        level = sum(log_cdf(nodes - m) for m in mu)
        kept = (level > -60).any(1)
        nodes, level, weights = nodes[kept], level[kept], weights[kept]
        return np.array([(np.exp(log_pdf(nodes - m) - log_cdf(nodes - m) + level) * weights).sum() for m in mu])


@pytest.mark.slow
def test_fifty_thousand_distinct_locations_have_the_integrals_of_their_polynomials() -> None:
    """Under uniform noise: products of the factors below 1, six Gauss nodes between neighbouring kinks."""
    mu = -np.sort(-locations(50_000, scale=0.01).numpy())
    mu -= mu[0]
    begin = mu[20_000]
    kinks = np.append((mu[mu > begin] + 1)[::-1], 1.0)
    gauss, weights = np.polynomial.legendre.leggauss(6)
    nodes = kinks[:-1, None] + np.diff(kinks)[:, None] * (gauss + 1) / 2
    weights = np.diff(kinks)[:, None] * weights / 2
    level = np.zeros_like(nodes)
    for block in np.array_split(mu[mu > begin], 500):
        some = nodes < block[0] + 1
        rows = slice(0, int(some.any(1).sum()))
        factors = np.clip(nodes[rows, :, None] - block, 0, 1)
        level[rows] += np.log(factors).sum(-1)
    mass = weights * np.exp(level)
    chosen = np.flatnonzero(mu > begin)[:: 1 + len(kinks) // 300]
    expected = [(mass / (nodes - m))[nodes < m + 1].sum() for m in mu[chosen]]
    probs = perturbed_argmax_probs(torch.from_numpy(mu), NOISES["uniform"]())
    assert float(probs.sum()) == pytest.approx(1, abs=1e-13)
    np.testing.assert_allclose(probs.numpy()[chosen], expected, rtol=1e-9, atol=1e-14)
    assert mass[0].max() < 1e-14
