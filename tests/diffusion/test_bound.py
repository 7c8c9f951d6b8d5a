"""The variational bound against entropies, the joint divergence of the article, and sums over all bins."""

from __future__ import annotations

import math

import mpmath
import pytest
import torch
from torch import Tensor

from kexue.diffusion.bits import Bins, bits_per_dim, log_normal_between
from kexue.diffusion.bound import large_variance, small_variance, step_divergence, variational_bound
from kexue.diffusion.exact import GaussianData
from kexue.diffusion.prediction import Prediction
from kexue.diffusion.schedules import SCHEDULES, ArticleLimit, Cosine, LinearVP, Schedule, SubVP
from kexue.errors import OptionError


def entropy(variance: float) -> float:
    return math.log(2 * math.pi * math.e * variance) / 2


def optimal_variance(data_variance: float):
    """The true variance of x_s given x_t: the posterior's plus what of x_0 is not known."""

    def variance(schedule: Schedule, t: Tensor, s: Tensor) -> Tensor:
        noise, signal = schedule.sigma(t).square(), schedule.alpha(t).square()
        unknown = data_variance * noise / (signal * data_variance + noise)
        return small_variance(schedule, t, s) + schedule.posterior(t, s).on_x0.square() * unknown

    return variance


def expected_bound(schedule: Schedule, num_steps: int, data_variance: float, variance) -> float:
    """The mean of the bound over data N(0, v) in nats, as E|x_0 - x_0(x_t)|^2 = v sigma^2 / (alpha^2 v + sigma^2)."""
    t = torch.arange(num_steps + 1, dtype=torch.float64) / num_steps
    noise, signal = schedule.sigma(t).square(), schedule.alpha(t).square()
    missed = data_variance * noise / (signal * data_variance + noise)
    var = variance(schedule, t[1:], t[:-1])
    prior = signal[-1] * data_variance / (2 * noise[-1])
    steps = step_divergence(schedule, t[2:], t[1:-1], missed[2:], var[1:], 1).sum()
    return float(prior + steps + ((2 * math.pi * var[0]).log() + missed[1] / var[0]) / 2)


@pytest.mark.parametrize("name", ["linear_vp", "article_limit", "article", "sub_vp", "cosine", "scaled_linear_vp"])
@pytest.mark.parametrize("num_steps", [1, 10, 1000])
@pytest.mark.parametrize("data_variance", [0.25, 1.0, 3.0])
def test_with_the_right_variances_the_bound_is_the_entropy_at_any_number_of_steps(name, num_steps, data_variance):
    schedule = SCHEDULES[name]()
    bound = expected_bound(schedule, num_steps, data_variance, optimal_variance(data_variance))
    # what remains is the divergence of x_1 from the prior
    last = torch.tensor(1.0, dtype=torch.float64)
    ratio = float(schedule.alpha(last) ** 2 * data_variance / schedule.sigma(last) ** 2)
    assert bound - entropy(data_variance) == pytest.approx((ratio - math.log1p(ratio)) / 2, abs=2e-11)


@pytest.mark.parametrize(("num_steps", "published"), [(100, 0.7367), (1000, 0.7269)])
def test_the_step_variance_costs_what_the_article_computes(num_steps: int, published: float):
    bound = expected_bound(ArticleLimit(), num_steps, 0.25, large_variance)
    assert bound == pytest.approx(published, abs=2e-4)
    assert entropy(0.25) == pytest.approx(0.7258, abs=5e-5)


@pytest.mark.parametrize("schedule", [LinearVP(), ArticleLimit(), Cosine()])
def test_the_step_variance_is_right_for_unit_gaussian_data(schedule: Schedule):
    for num_steps in (10, 100):
        assert expected_bound(schedule, num_steps, 1.0, large_variance) == pytest.approx(entropy(1.0), abs=1e-8)


@pytest.mark.parametrize("shape", [(4,), (1, 2, 2)])
@pytest.mark.parametrize("variance", [large_variance, optimal_variance(0.25)], ids=["large", "optimal"])
def test_what_is_computed_from_draws_is_the_closed_form(shape: tuple[int, ...], variance):
    data, schedule, num_steps = GaussianData.diagonal([0.0] * 4, [0.25] * 4), LinearVP(), 20
    x0 = data.sample(4000).reshape(4000, *shape)
    generator = torch.Generator().manual_seed(1)
    found = variational_bound(data.denoiser(schedule), schedule, x0, num_steps, variance=variance, generator=generator)
    truth = expected_bound(schedule, num_steps, 0.25, variance) / math.log(2)
    error = float(found.total.std()) / math.sqrt(4000)
    assert found.steps.shape == (4000, num_steps - 1)
    assert float(found.total.mean()) == pytest.approx(truth, abs=4 * error)
    assert error < 0.02


def test_a_step_is_the_divergence_of_two_gaussians():
    schedule, t, s = SubVP(), torch.tensor(0.7, dtype=torch.float64), torch.tensor(0.4, dtype=torch.float64)
    x0, x0_hat, x_t = torch.randn(3, 5, dtype=torch.float64)
    true, variance = schedule.posterior(t, s), torch.tensor(0.37, dtype=torch.float64)
    normals = (
        torch.distributions.Normal(true.on_x_t * x_t + true.on_x0 * x, v.sqrt())
        for x, v in ((x0, true.variance), (x0_hat, variance))
    )
    expected = torch.distributions.kl_divergence(*normals).sum()
    found = step_divergence(schedule, t, s, (x0 - x0_hat).square().sum(), variance, 5)
    torch.testing.assert_close(found, expected)


def test_the_terms_add_up_to_the_joint_divergence_of_the_autoregressive_vae():
    # 9152: E[-log q(x_{0:T}) + log p(x_{1:T} | x_0)] over whole paths, with a denoiser that is wrong
    schedule, num_steps, num = LinearVP(), 5, 100_000
    generator = torch.Generator().manual_seed(1)
    x0 = torch.full((num, 1), 0.7, dtype=torch.float64)

    def denoise(x_t: Tensor, t: Tensor) -> Prediction:
        return Prediction.from_x0(0.5 * x_t.tanh(), x_t, schedule.alpha(t)[:, None], schedule.sigma(t)[:, None])

    def log_normal(x: Tensor, mean: Tensor, std: Tensor) -> Tensor:
        return torch.distributions.Normal(mean, std).log_prob(x)

    times = torch.arange(num_steps + 1, dtype=torch.float64) / num_steps
    path, total = x0, torch.zeros(num, 1, dtype=torch.float64)
    for t, s in zip(times[1:], times[:-1], strict=True):
        mean, beta = schedule.step_alpha(t, s) * path, schedule.step_sigma(t, s)
        later = mean + beta * torch.randn(num, 1, dtype=torch.float64, generator=generator)
        posterior, said = schedule.posterior(t, s), denoise(later, t.expand(num)).x0
        total += log_normal(later, mean, beta)
        total -= log_normal(path, posterior.on_x_t * later + posterior.on_x0 * said, beta)
        path = later
    total -= log_normal(path, torch.zeros(()), torch.tensor(schedule.prior_std))
    joint, error = float(total.mean()), float(total.std()) / math.sqrt(num)

    found = variational_bound(denoise, schedule, x0, num_steps, generator=generator).total * math.log(2)
    both = math.hypot(error, float(found.std()) / math.sqrt(num))
    assert float(found.mean()) == pytest.approx(joint, abs=4 * both)
    assert both < 0.02


def test_no_step_waits_for_the_device(monkeypatch: pytest.MonkeyPatch):
    schedule, looked = LinearVP(), []

    def denoise(x_t: Tensor, t: Tensor) -> Prediction:
        return Prediction.from_x0(0.5 * x_t, x_t, schedule.alpha(t)[:, None], schedule.sigma(t)[:, None])

    monkeypatch.setattr(Tensor, "__bool__", lambda value: looked.append(value) or value.item() != 0)
    variational_bound(denoise, schedule, torch.zeros(3, 1, dtype=torch.float64), 50)
    assert len(looked) <= 1  # whether the schedule falls


def test_the_standard_error_is_that_of_the_draws():
    data, schedule = GaussianData.diagonal([0.0] * 3, [0.5, 1.0, 2.0]), LinearVP()
    x0 = data.sample(1).expand(2000, -1)
    generator = torch.Generator().manual_seed(0)
    found = variational_bound(data.denoiser(schedule), schedule, x0, 10, num_draws=4, generator=generator)
    assert float(found.standard_error.square().mean().sqrt() / found.total.std()) == pytest.approx(1, abs=0.1)
    once = variational_bound(data.denoiser(schedule), schedule, x0, 3)
    assert once.standard_error.isnan().all()


def test_the_probabilities_of_all_bins_add_up_to_1():
    bins = Bins(width=2 / 15)
    values = torch.linspace(-1, 1, 16, dtype=torch.float64)[:, None]
    mean, std = torch.tensor([-1.3, 0.05, 0.9, 0.4]), torch.tensor([0.2, 0.01, 3.0, 1e-4])
    total = bins.log_prob(values, mean.double(), std.double()).exp().sum(0)
    torch.testing.assert_close(total, torch.ones(4, dtype=torch.float64))


@pytest.mark.parametrize(("lower", "upper"), [(-1.0, 2.0), (8.0, 8.1), (-40.0, -39.9), (38.0, 39.0), (-math.inf, -3.0)])
def test_the_probability_of_an_interval_is_exact_far_out(lower: float, upper: float):
    with mpmath.workdps(800):
        truth = float(mpmath.log((mpmath.erfc(lower / mpmath.sqrt(2)) - mpmath.erfc(upper / mpmath.sqrt(2))) / 2))
    bounds = (torch.tensor(b, dtype=torch.float64) for b in (lower, upper))
    assert float(log_normal_between(*bounds)) == pytest.approx(truth, rel=1e-12)


def test_whole_numbers_have_a_bound_on_their_probability():
    # one value known for certain among 256: nearly nothing to tell; a flat denoiser: about 8 bits
    schedule, x0 = LinearVP(), torch.full((64, 3, 2, 2), -1 + 2 * 17 / 255, dtype=torch.float64)

    def knowing(x_t: Tensor, t: Tensor) -> Prediction:
        levels = (c(t).reshape(-1, 1, 1, 1) for c in (schedule.alpha, schedule.sigma))
        return Prediction.from_x0(x0, x_t, *levels)

    sharp = variational_bound(
        knowing, schedule, x0, 1000, bins=Bins(), variance=lambda s, t, r: large_variance(s, t, r)
    )
    assert sharp.reconstruction.mean() < 3
    assert sharp.total.shape == (64,)
    assert bits_per_dim(torch.tensor(256.0).log(), 1) == pytest.approx(8)


def test_a_first_step_without_variance_is_refused():
    data, schedule = GaussianData.scalar(), LinearVP()
    with pytest.raises(OptionError, match="use large_variance"):
        variational_bound(data.denoiser(schedule), schedule, data.sample(2), 10, variance=small_variance)
    with pytest.raises(OptionError, match="num_steps"):
        variational_bound(data.denoiser(schedule), schedule, data.sample(2), 0)
    with pytest.raises(OptionError, match="width > 0"):
        Bins(width=0.0)
