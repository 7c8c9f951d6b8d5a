"""What is said in one form is right in every other, for all pairs (alpha, sigma) and both ends."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kexue.diffusion.exact import GaussianData, MixtureData, f64
from kexue.diffusion.prediction import PARAMETERIZATIONS, Levels, Parameterization, Preconditioned, Prediction, V
from kexue.diffusion.schedules import SCHEDULES, ArticleLimit, LinearVP, Schedule, ZeroTerminalSNR
from kexue.diffusion.shapes import per_sample
from kexue.errors import OptionError

FORMS = {
    "eps": Prediction.from_eps,
    "x0": Prediction.from_x0,
    "v": Prediction.from_v,
    "score": Prediction.from_score,
}  # besides "preconditioned", which has no property of its own
every_form = pytest.mark.parametrize("form", FORMS)
every_parameterization = pytest.mark.parametrize("kind", PARAMETERIZATIONS.values(), ids=PARAMETERIZATIONS.keys())


def quantities(x0: torch.Tensor, eps: torch.Tensor, alpha: float, sigma: float) -> dict[str, torch.Tensor]:
    return {"eps": eps, "x0": x0, "v": alpha * eps - sigma * x0, "score": -eps / sigma}


def test_every_parameterization_has_a_constructor_and_a_property():
    assert {*FORMS, "preconditioned"} == PARAMETERIZATIONS.keys()


@every_form
@settings(max_examples=50, deadline=None)
@given(alpha=st.floats(0.01, 3), sigma=st.floats(0.01, 80))
def test_each_form_gives_all_the_others(form: str, alpha: float, sigma: float):
    x0, eps = torch.randn(2, 4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    truth, x_t = quantities(x0, eps, alpha, sigma), alpha * x0 + sigma * eps
    said = FORMS[form](truth[form], x_t, alpha, sigma)
    scale = 1e-13 * max(sigma / alpha, alpha / sigma, 1) * max(sigma, 1 / sigma)
    for name, value in truth.items():
        torch.testing.assert_close(getattr(said, name), value, rtol=1e-9, atol=max(scale, 1e-12))


@every_form
@pytest.mark.parametrize("schedule", [make() for make in SCHEDULES.values()], ids=SCHEDULES.keys())
def test_there_and_back_under_every_schedule_with_one_time_per_sample(form: str, schedule: Schedule):
    t = torch.tensor([0.1, 0.5, 0.95], dtype=torch.float64).clamp(min=schedule.t_min)
    x_t, value = torch.randn(2, 3, 2, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    alpha, sigma = per_sample(schedule.alpha(t), x_t), per_sample(schedule.sigma(t), x_t)
    said = FORMS[form](value, x_t, alpha, sigma)
    for other, make in FORMS.items():
        back = getattr(make(getattr(said, other), x_t, alpha, sigma), form)
        torch.testing.assert_close(back, value, rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(alpha * said.x0 + sigma * said.eps, x_t, rtol=1e-8, atol=1e-8)


@every_parameterization
def test_the_target_is_the_value_that_says_the_truth(kind: type[Parameterization]):
    x0, eps = torch.randn(2, 5, dtype=torch.float64)
    alpha, sigma = torch.tensor(0.8, dtype=torch.float64), torch.tensor(1.7, dtype=torch.float64)
    said = Prediction(kind().target(x0, eps, alpha, sigma), alpha * x0 + sigma * eps, Levels.of(alpha, sigma), kind())
    torch.testing.assert_close(said.x0, x0)
    torch.testing.assert_close(said.eps, eps)


@every_parameterization
def test_a_row_of_plain_numbers_is_the_same_step(kind: type[Parameterization]):
    # what a sampler plans in advance: DDIM from (alpha, sigma) to (0.9, 0.4) as two numbers
    x_t, value = torch.randn(2, 6, dtype=torch.float64)
    said = Prediction(value, x_t, Levels.of(0.6, 0.8), kind())
    row = kind().row(0.6, 0.8, 0.9, 0.4)
    torch.testing.assert_close(row.on_x_t * x_t + row.on_value * value, 0.9 * said.x0 + 0.4 * said.eps)
    torch.testing.assert_close(said.combine(0.9, 0.4), 0.9 * said.x0 + 0.4 * said.eps)


@pytest.mark.parametrize("data_std", [0.5, 2.0])
@pytest.mark.parametrize(("alpha", "sigma"), [(1.0, 0.002), (1.0, 80.0), (0.6, 0.8), (0.0, 1.0), (1.0, 0.0)])
def test_a_preconditioned_network_sees_and_says_numbers_of_variance_1(data_std: float, alpha: float, sigma: float):
    generator = torch.Generator().manual_seed(0)
    x0, eps = torch.randn(2, 100_000, dtype=torch.float64, generator=generator) * torch.tensor([[data_std], [1.0]])
    kind, x_t = Preconditioned(data_std), alpha * x0 + sigma * eps
    value = kind.target(x0, eps, alpha, sigma)
    assert float(value.std()) == pytest.approx(1, abs=0.01)
    assert float(kind.network_input(x_t, Levels.of(alpha, sigma)).std()) == pytest.approx(1, abs=0.01)
    said = Prediction(value, x_t, Levels.of(alpha, sigma), kind)
    torch.testing.assert_close(said.x0, x0)
    torch.testing.assert_close(said.eps, eps)
    # the coefficients as Karras et al. 2022 print them, for alpha = 1
    norm = math.hypot(sigma, data_std)
    if alpha == 1:
        expected = data_std**2 / norm**2 * x_t + sigma * data_std / norm * value
        torch.testing.assert_close(said.x0, expected)


def test_preconditioned_for_unit_data_is_v_with_the_other_sign():
    for row in ("x0_row", "eps_row"):
        ours, v = (getattr(kind, row)(0.6, 0.8) for kind in (Preconditioned(1.0), V()))
        assert ours == pytest.approx((v.on_x_t, -v.on_value))


def test_v_and_x0_hold_where_nothing_of_the_data_is_left():
    schedule, one = ZeroTerminalSNR(), torch.ones(2, dtype=torch.float64)
    alpha, sigma = (c(one)[:, None] for c in (schedule.alpha, schedule.sigma))
    x0, eps = torch.randn(2, 2, 3, dtype=torch.float64)
    from_v, from_x0 = Prediction.from_v(-x0, eps, alpha, sigma), Prediction.from_x0(x0, eps, alpha, sigma)
    for said in (from_v, from_x0):
        torch.testing.assert_close(said.x0, x0)
        torch.testing.assert_close(said.eps, eps)
        torch.testing.assert_close(said.v, -x0)
        torch.testing.assert_close(said.score, -eps)


def test_v_and_eps_hold_at_the_data():
    x0, eps = torch.randn(2, 4)
    for said in (Prediction.from_eps(eps, x0, 1.0, 0.0), Prediction.from_v(eps, x0, 1.0, 0.0)):
        torch.testing.assert_close(said.x0, x0)
        torch.testing.assert_close(said.eps, eps)


@pytest.mark.parametrize("zero", [0.0, torch.zeros(3, 1), torch.tensor([0.5, 0.0, 0.5])])
@pytest.mark.parametrize(
    ("form", "wanted", "name"),
    [
        ("eps", "x0", "alpha"),
        ("score", "x0", "alpha"),
        ("x0", "eps", "sigma"),
        ("eps", "score", "sigma"),
        ("v", "score", "sigma"),
    ],
)
def test_what_does_not_follow_is_refused_instead_of_infinite(form: str, wanted: str, name: str, zero):
    numbers = {"alpha": 1.0, "sigma": 1.0, name: zero}
    said = FORMS[form](torch.zeros(3, 3), torch.zeros(3, 3), numbers["alpha"], numbers["sigma"])
    with pytest.raises(OptionError, match=f"{wanted} does not follow.*{name} is 0"):
        getattr(said, wanted)


@every_form
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_the_precision_is_that_of_the_inputs_and_the_work_done_above_it(form: str, dtype: torch.dtype):
    x_t, value = torch.randn(2, 64, generator=torch.Generator().manual_seed(0)).to(dtype)
    alpha, sigma = torch.tensor(0.7, dtype=torch.float64), torch.tensor(0.3, dtype=torch.float64)
    said = FORMS[form](value, x_t, alpha, sigma)
    exact = FORMS[form](value.double(), x_t.double(), alpha, sigma)
    for name in FORMS:
        found, truth = getattr(said, name), getattr(exact, name)
        assert found.dtype == dtype
        torch.testing.assert_close(found.double(), truth, rtol=2 * torch.finfo(dtype).eps, atol=1e-6)


def test_a_network_in_half_precision_does_not_round_a_float32_sample():
    said = Prediction.from_eps(torch.ones(3, dtype=torch.bfloat16), torch.full((3,), 1.001), 0.7, 0.3)
    assert said.x0.dtype == torch.float32


def test_the_articles_own_noise_is_scaled_by_the_share_of_the_last_step():
    # kexue.fm/archives/9152: eps of the paper is sigma_t / beta_t times that of the first two articles
    schedule, t = ArticleLimit(), torch.tensor([0.001, 0.3, 1.0], dtype=torch.float64)
    beta = schedule.step_sigma(t, t - 0.001)[:, None]
    alpha, sigma = schedule.alpha(t)[:, None], schedule.sigma(t)[:, None]
    x_t, eps = torch.randn(2, 3, 4, dtype=torch.float64)
    said = Prediction.from_article_eps(eps * beta / sigma, x_t, alpha, sigma, beta)
    torch.testing.assert_close(said.eps, eps)
    torch.testing.assert_close(said.article_eps(beta), eps * beta / sigma)
    # the reverse mean of the article, (x - beta eps_article) / alpha_t, is the posterior's with x_0 predicted
    s = t - 0.001
    posterior = schedule.posterior(t, s)
    mean = (x_t - beta * said.article_eps(beta)) / schedule.step_alpha(t, s)[:, None]
    torch.testing.assert_close(posterior.on_x_t[:, None] * x_t + posterior.on_x0[:, None] * said.x0, mean)


def test_the_mean_of_the_data_is_tweedies():
    # E[x_0 | x_t] by integration over x_0 against (x_t + sigma^2 d log p / dx) / alpha by differentiation
    data, schedule, t = MixtureData.three_modes(), LinearVP(), torch.tensor([0.2], dtype=torch.float64)
    alpha, sigma = float(schedule.alpha(t)), float(schedule.sigma(t))
    grid = torch.linspace(-6, 6, 20001, dtype=torch.float64)[:, None]
    x_t = torch.tensor([[0.37]], dtype=torch.float64)
    weight = (data.log_prob(grid) - (x_t - alpha * grid).square()[:, 0] / (2 * sigma**2)).softmax(0)
    mean = (weight[:, None] * grid).sum(0, keepdim=True)
    moving = x_t.clone().requires_grad_()
    (score,) = torch.autograd.grad(data.at(schedule, 0.2).log_prob(moving).sum(), moving)
    said = data.denoiser(schedule)(x_t, t)
    for x0 in (said.x0, Prediction.from_score(score, x_t, alpha, sigma).x0):
        torch.testing.assert_close(x0, mean, rtol=1e-9, atol=1e-9)


def test_the_score_of_data_points_is_the_softmax_weighted_mean_of_theirs():
    # kexue.fm/archives/9209: a weighted mean of the conditional scores, here against the derivative of log p
    points = torch.randn(7, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    alpha, sigma, x = 0.8, 0.6, torch.tensor([0.3, -0.2], dtype=torch.float64, requires_grad=True)
    distance = -(x - alpha * points).square().sum(1) / (2 * sigma**2)
    (gradient,) = torch.autograd.grad(distance.logsumexp(0), x)
    x0 = (distance.softmax(0)[:, None] * points).sum(0)
    torch.testing.assert_close(Prediction.from_x0(x0, x.detach(), alpha, sigma).score, gradient)


def test_the_exact_denoiser_of_a_gaussian_is_its_score():
    data, schedule = GaussianData.correlated(5), LinearVP()
    x = data.sample(3).requires_grad_()
    (gradient,) = torch.autograd.grad(data.at(schedule, 0.5).log_prob(x).sum(), x)
    t = torch.full((3,), 0.5, dtype=torch.float64)
    torch.testing.assert_close(data.denoiser(schedule)(x.detach(), t).score, gradient)
    assert math.isclose(float(data.covariance[0, 1]), 0.8)


def test_numbers_on_a_device_are_not_looked_at():
    """To look would make the host wait; on the device `meta` there is nothing to see."""
    alpha, sigma = torch.zeros(2, 3, device="meta").unbind()
    for kind in PARAMETERIZATIONS.values():
        assert all(isinstance(number, float) or number.is_meta for number in kind().x0_row(alpha, sigma))


@pytest.mark.parametrize(("mean", "std"), [(0.0, 1.0), (3.0, 0.1)])
def test_the_quantiles_of_one_component_are_those_of_the_normal_law(mean: float, std: float):
    levels = f64([[1e-6, 0.1], [0.5, 0.999]])
    one = MixtureData(f64([1.0]), f64([[mean]]), f64([std]))
    torch.testing.assert_close(one.quantiles(levels), mean + std * torch.special.ndtri(levels))


def test_below_a_quantile_lies_its_share_of_a_mixture():
    law, levels = MixtureData.three_modes(), f64([0.05, 0.5, 0.7, 0.95])
    draws = law.sample(100_000)[:, 0]
    torch.testing.assert_close((draws < law.quantiles(levels)[:, None]).double().mean(1), levels, rtol=0, atol=0.005)
