"""The losses against closed forms, against each other, and against draws."""

from __future__ import annotations

import math

import mpmath
import pytest
import torch
from torch import Tensor
from torch.nn.functional import one_hot
from torch.testing import assert_close

from kexue.distributions import (
    NOISES,
    Cauchy,
    Exponential,
    Gumbel,
    Laplace,
    Logistic,
    NegatedExponential,
    Noise,
    Normal,
    Triangular,
    Uniform,
    cross_entropy,
    expected_error,
    fenchel_young,
    perturbed_argmax_log_probs,
    perturbed_argmax_probs,
)
from kexue.errors import OptionError

LAWS = {name: law() for name, law in NOISES.items()}
DENSE = {name: noise for name, noise in LAWS.items() if not noise.sparse}
WITH_MEAN = {name: noise for name, noise in LAWS.items() if noise.has_mean}
each_law = pytest.mark.parametrize("noise", LAWS.values(), ids=LAWS)
each_dense_law = pytest.mark.parametrize("noise", DENSE.values(), ids=DENSE)
each_law_with_mean = pytest.mark.parametrize("noise", WITH_MEAN.values(), ids=WITH_MEAN)
TARGET = torch.tensor([0, 3, 3])


def locations(*shape: int, seed: int = 0, scale: float = 1.0) -> Tensor:
    return scale * torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def gradient_of(loss, loc: Tensor, *arguments) -> Tensor:
    leaf = loc.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(leaf, *arguments).sum(), leaf)
    return gradient


def test_with_gumbel_noise_both_losses_are_the_softmax_cross_entropy():
    loc = locations(3, 4)
    expected = torch.nn.functional.cross_entropy(loc, TARGET, reduction="none")
    for loss in (cross_entropy, fenchel_young):
        assert_close(loss(loc, TARGET, Gumbel()), expected, atol=1e-12, rtol=0)
        assert_close(gradient_of(loss, loc, TARGET, Gumbel()), loc.softmax(-1) - one_hot(TARGET, 4))


@each_dense_law
def test_cross_entropy_is_the_logarithm_of_the_probability_of_the_target(noise: Noise):
    loc = locations(3, 4)
    probs = perturbed_argmax_probs(loc, noise)
    assert_close(cross_entropy(loc, TARGET, noise), -probs.gather(-1, TARGET[:, None])[:, 0].log(), atol=1e-10, rtol=0)


def log_probability_of_trailing(noise: Noise, gap: float) -> float:
    """log P(the class that trails by `gap` wins) of two, to 50 digits."""
    with mpmath.workdps(50):
        d = mpmath.mpf(gap)
        forms = {
            Gumbel: lambda: -mpmath.log1p(mpmath.e**d),
            Normal: lambda: mpmath.log(mpmath.erfc(d / 2) / 2),
            Exponential: lambda: -d - mpmath.log(2),
            NegatedExponential: lambda: -d - mpmath.log(2),
            Laplace: lambda: mpmath.log((2 + d) / 4) - d,
            Logistic: lambda: mpmath.log(1 - mpmath.e**d * (mpmath.e**d - 1 - d) / (mpmath.e**d - 1) ** 2),
            Cauchy: lambda: mpmath.log(mpmath.mpf(1) / 2 - mpmath.atan(d / 2) / mpmath.pi),
        }
        return float(forms[type(noise)]())


@pytest.mark.parametrize("gap", [1.0, 10.0, 50.0])
@pytest.mark.parametrize("law", [Gumbel, Normal, Exponential, NegatedExponential, Laplace, Logistic, Cauchy])
def test_cross_entropy_is_right_at_any_depth_of_the_tail(law: type[Noise], gap: float):
    """50 standard deviations are 627 nats under Normal noise; the cross entropy and its gradient know them."""
    loc = torch.tensor([0.0, -gap], dtype=torch.float64)
    expected = -log_probability_of_trailing(law(), gap)
    assert cross_entropy(loc, torch.tensor(1), law()).item() == pytest.approx(expected, rel=1e-6)
    step = 1e-4
    slope = (log_probability_of_trailing(law(), gap + step) - log_probability_of_trailing(law(), gap - step)) / (
        2 * step
    )
    gradient = gradient_of(cross_entropy, loc, torch.tensor(1), law())
    assert_close(gradient, torch.tensor([-slope, slope], dtype=torch.float64), rtol=1e-5, atol=0)


@pytest.mark.parametrize("noise", [Uniform(), Triangular(scale=3.0)])
def test_cross_entropy_under_bounded_noise_is_refused_and_names_the_way_out(noise: Noise):
    with pytest.raises(OptionError, match=r"exactly 0.*fenchel_young"):
        cross_entropy(locations(3, 4), TARGET, noise)


@each_law_with_mean
@pytest.mark.parametrize("scale", [1.0, 20.0])
def test_the_gradient_of_fenchel_young_is_the_probabilities_less_the_target(noise: Noise, scale: float):
    loc = locations(3, 4, scale=scale)
    expected = perturbed_argmax_probs(loc, noise) - one_hot(TARGET, 4)
    assert_close(gradient_of(fenchel_young, loc, TARGET, noise), expected, atol=1e-12, rtol=0)


@each_law_with_mean
def test_fenchel_young_is_what_draws_say(noise: Noise):
    """E[max_j(loc_j + eps_j) - (loc_t + eps_t)] over 40,000 draws, within 5 standard errors."""
    loc, target = locations(4), torch.tensor(1)
    eps = noise.sample((40_000, 4), torch.Generator().manual_seed(0), torch.float64)
    excess = (loc + eps).amax(-1) - (loc + eps)[:, target]
    error = excess.std() / 200
    assert (fenchel_young(loc, target, noise) - excess.mean()).abs() < 5 * error


@each_law_with_mean
def test_fenchel_young_is_convex_and_never_negative(noise: Noise):
    a, b, target = locations(50, 4, scale=3.0), locations(50, 4, seed=1, scale=3.0), torch.zeros(50, dtype=torch.long)
    low, middle, high = (fenchel_young(loc, target, noise) for loc in (a, (a + b) / 2, b))
    assert (middle <= (low + high) / 2 + 1e-12).all()
    assert (low > -1e-12).all()


@each_law_with_mean
def test_fenchel_young_vanishes_where_the_target_always_wins(noise: Noise):
    loc = torch.tensor([1e4, 0.0, 0.0], dtype=torch.float64)
    assert fenchel_young(loc, torch.tensor(0), noise).abs() < 1e-3  # Student's t falls slowly
    width = noise.upper - noise.lower
    if math.isfinite(width):
        assert fenchel_young(torch.tensor([width, 0.0]).double(), torch.tensor(0), noise).abs() < 1e-12


@each_law_with_mean
def test_fenchel_young_of_locations_far_from_zero_keeps_its_digits(noise: Noise):
    loc = locations(3, 4)
    assert_close(fenchel_young(loc + 2.0**40, TARGET, noise), fenchel_young(loc, TARGET, noise), atol=1e-3, rtol=0)
    assert_close(
        fenchel_young((loc + 64).float(), TARGET, noise), fenchel_young(loc, TARGET, noise).float(), atol=2e-5, rtol=0
    )


def test_fenchel_young_without_a_mean_is_refused():
    with pytest.raises(OptionError, match="mean"):
        fenchel_young(locations(3, 4), TARGET, Cauchy())


@each_law
def test_the_expected_error_is_the_probability_of_the_others(noise: Noise):
    loc = locations(3, 4)
    probs = perturbed_argmax_probs(loc, noise)
    assert_close(expected_error(loc, TARGET, noise), 1 - probs.gather(-1, TARGET[:, None])[:, 0], atol=1e-13, rtol=0)
    expected = -torch.func.vmap(torch.func.jacrev(lambda row: perturbed_argmax_probs(row, noise)))(loc)
    assert_close(gradient_of(expected_error, loc, TARGET, noise), expected[torch.arange(3), TARGET], atol=1e-12, rtol=0)


def test_a_tiny_expected_error_keeps_its_digits():
    loc = torch.tensor([0.0, -30.0], dtype=torch.float64)
    assert expected_error(loc, torch.tensor(0), Exponential()).item() == pytest.approx(math.exp(-30) / 2, rel=1e-9)
    assert expected_error(loc.float(), torch.tensor(0), Exponential()).item() == pytest.approx(
        math.exp(-30) / 2, rel=1e-4
    )


@each_law_with_mean
def test_a_target_that_is_absent_costs_infinitely_much(noise: Noise):
    loc = torch.tensor([0.0, 1.0, -torch.inf], dtype=torch.float64)
    assert fenchel_young(loc, torch.tensor(2), noise) == math.inf
    assert expected_error(loc, torch.tensor(2), noise) == pytest.approx(1.0)
    if not noise.sparse:
        assert cross_entropy(loc, torch.tensor(2), noise) == math.inf


@each_law
def test_absent_classes_do_not_disturb_the_losses_or_their_gradients(noise: Noise):
    loc = locations(3, 4)
    padded = torch.cat([loc, torch.full((3, 1), -torch.inf).double()], -1)
    for loss in (cross_entropy, fenchel_young, expected_error):
        if (loss is cross_entropy and noise.sparse) or (loss is fenchel_young and not noise.has_mean):
            continue
        assert_close(loss(padded, TARGET, noise), loss(loc, TARGET, noise), atol=1e-12, rtol=0)
        gradient = gradient_of(loss, padded, TARGET, noise)
        assert_close(gradient[:, :4], gradient_of(loss, loc, TARGET, noise), atol=1e-11, rtol=0)
        assert (gradient[:, 4] == 0).all()


@each_law
def test_descending_a_loss_learns_the_frequencies_of_the_targets(noise: Noise):
    """The least cross entropy and the least Fenchel-Young loss over many targets match p to how often each occurs."""
    frequencies = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    loss = fenchel_young if noise.has_mean else cross_entropy
    loc = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([loc], max_iter=60, line_search_fn="strong_wolfe", tolerance_grad=1e-10)

    def closure() -> Tensor:
        optimizer.zero_grad()
        value = (frequencies * loss(loc.expand(3, 3), torch.arange(3), noise)).sum()
        value.backward()
        return value

    optimizer.step(closure)
    assert_close(perturbed_argmax_probs(loc.detach(), noise), frequencies, atol=1e-4, rtol=0)


def test_log_probabilities_come_with_the_loss_in_any_leading_shape():
    loc = locations(2, 3, 4)
    target = torch.randint(4, (2, 3))
    expected = -perturbed_argmax_log_probs(loc, Normal()).gather(-1, target.unsqueeze(-1)).squeeze(-1)
    assert_close(cross_entropy(loc, target, Normal()), expected)
