"""Every schedule, found in the table by itself, against finite differences, Gaussian conditioning and 50 digits."""

from __future__ import annotations

import math
import pickle

import mpmath
import pytest
import torch

from kexue.diffusion.schedules import (
    EDM,
    SCHEDULES,
    VE,
    ArticleLimit,
    ArticleSchedule,
    Cosine,
    DiscreteBetas,
    LinearVP,
    ScaledLinearVP,
    Schedule,
    SubVP,
    ZeroTerminalSNR,
    cosine_betas,
    linear_betas,
    scaled_linear_betas,
    zero_terminal_betas,
)
from kexue.diffusion.schedules.schedule import step_before
from kexue.diffusion.schedules.variance_preserving import VariancePreserving
from kexue.errors import OptionError

DEFAULTS = {name: make() for name, make in SCHEDULES.items()}
VARIANTS: dict[str, Schedule] = {
    "cosine_table": DiscreteBetas(cosine_betas()),
    "scaled_linear_table": DiscreteBetas(scaled_linear_betas()),
    "zero_terminal_table": DiscreteBetas(zero_terminal_betas(linear_betas())),
    "rough_table": DiscreteBetas([0.1, 0.9, 0.01, 0.5, 0.001, 0.3]),
    "one_step": DiscreteBetas([0.4]),
    "one_step_to_noise": DiscreteBetas([1.0]),
    "zero_terminal_cosine": ZeroTerminalSNR(Cosine()),
}
ALL = {**DEFAULTS, **VARIANTS}
every_schedule = pytest.mark.parametrize("schedule", ALL.values(), ids=ALL.keys())


def f64(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


@every_schedule
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("shape", [(), (3,), (2, 1, 3)])
def test_results_are_double_and_have_the_shape_of_the_times(schedule: Schedule, dtype, shape):
    t = torch.rand(shape).clamp(0.01, 0.99).to(dtype)
    functions = (schedule.log_alpha, schedule.log_sigma, schedule.alpha, schedule.sigma, schedule.log_snr)
    for result in (*(f(t) for f in functions), schedule.drift(t), schedule.diffusion(t), *schedule.rates(t)):
        assert result.dtype == torch.float64
        assert result.shape == shape
        assert result.isfinite().all()


@every_schedule
def test_time_0_is_the_data_and_time_1_has_the_noise_of_the_prior(schedule: Schedule):
    ends = f64(0, 1)
    assert schedule.alpha(ends)[0] == 1
    assert schedule.sigma(ends)[0] == 0
    assert schedule.log_snr(ends)[0] == math.inf
    assert float(schedule.sigma(ends)[1]) == schedule.prior_std
    assert 0 < schedule.t_first <= schedule.t_min <= 1


@every_schedule
def test_the_signal_to_noise_ratio_falls_all_the_way(schedule: Schedule):
    t = torch.cat(
        (torch.logspace(-9, -3, 50, dtype=torch.float64), torch.linspace(2e-3, 1, 20011, dtype=torch.float64))
    )
    assert (schedule.log_snr(t).diff() < 0).all()


@every_schedule
def test_drift_and_diffusion_are_what_the_marginals_need(schedule: Schedule):
    # m' = f m and v' = 2 f v + g^2 of the linear equation, by central differences
    t, h = torch.linspace(0.0417, 0.9631, 50, dtype=torch.float64), 1e-5
    slope_log_alpha = (schedule.log_alpha(t + h) - schedule.log_alpha(t - h)) / (2 * h)
    slope_variance = (schedule.sigma(t + h) ** 2 - schedule.sigma(t - h) ** 2) / (2 * h)
    f, g = schedule.drift(t), schedule.diffusion(t)
    torch.testing.assert_close(f, slope_log_alpha, rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(2 * f * schedule.sigma(t) ** 2 + g**2, slope_variance, rtol=1e-6, atol=1e-6)
    assert (g > 0).all()


@every_schedule
def test_rates_are_the_derivatives_of_alpha_and_sigma(schedule: Schedule):
    t, h = torch.linspace(0.0417, 0.9631, 50, dtype=torch.float64), 1e-5
    for rate, function in zip(schedule.rates(t), (schedule.alpha, schedule.sigma), strict=True):
        torch.testing.assert_close(rate, (function(t + h) - function(t - h)) / (2 * h), rtol=1e-6, atol=1e-6)
    assert all(rate.isfinite().all() for rate in schedule.rates(f64(1)))


@pytest.mark.parametrize("schedule", DEFAULTS.values(), ids=DEFAULTS.keys())
def test_the_equation_of_the_moments_leads_back_to_alpha_and_sigma(schedule: Schedule):
    # classical Runge-Kutta of order 4 with small steps, from t = 0.2 to 0.9
    t, h = 0.2, 0.7 / 700
    mean, variance = float(schedule.alpha(f64(t))), float(schedule.sigma(f64(t))) ** 2
    times = 0.2 + h / 2 * torch.arange(1401, dtype=torch.float64)
    f, g2 = schedule.drift(times).tolist(), schedule.diffusion(times).square().tolist()
    for i in range(0, 1400, 2):
        state, slopes = (mean, variance), []
        for j, c in ((i, 0.0), (i + 1, 0.5), (i + 1, 0.5), (i + 2, 1.0)):
            m, v = (a + c * h * b for a, b in zip(state, slopes[-1], strict=True)) if slopes else state
            slopes.append((f[j] * m, 2 * f[j] * v + g2[j]))
        mean, variance = (
            a + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4) for a, k1, k2, k3, k4 in zip(state, *slopes, strict=True)
        )
    assert mean == pytest.approx(float(schedule.alpha(f64(0.9))), rel=1e-8)
    assert variance == pytest.approx(float(schedule.sigma(f64(0.9))) ** 2, rel=1e-8)


@every_schedule
def test_the_posterior_is_gaussian_conditioning(schedule: Schedule):
    s, t = f64(0.1, 0.3, 0.05, 0.6), f64(0.2, 0.9, 0.99, 0.61)
    a_s, a_t, v_s, v_t = schedule.alpha(s), schedule.alpha(t), schedule.sigma(s) ** 2, schedule.sigma(t) ** 2
    covariance = a_t / a_s * v_s
    found = schedule.posterior(t, s)
    torch.testing.assert_close(found.on_x_t, covariance / v_t)
    torch.testing.assert_close(found.on_x0, a_s - covariance / v_t * a_t)
    torch.testing.assert_close(found.variance, v_s - covariance**2 / v_t)


@every_schedule
def test_one_step_and_what_was_before_make_the_marginal(schedule: Schedule):
    s, t = f64(0, 0.1, 0.3, 0.05, 0.6), f64(1e-3, 0.2, 0.9, 0.99, 0.61)
    a, beta = schedule.step_alpha(t, s), schedule.step_sigma(t, s)
    torch.testing.assert_close(a**2 * schedule.sigma(s) ** 2 + beta**2, schedule.sigma(t) ** 2)
    torch.testing.assert_close(a * schedule.alpha(s), schedule.alpha(t))
    if isinstance(schedule, VariancePreserving):  # the two coefficients of the article sum to 1 / alpha_t
        torch.testing.assert_close(a**2 + beta**2, torch.ones(5, dtype=torch.float64))
        fresh = schedule.fresh_share(t, s)
        earlier = a * schedule.sigma(s) ** 2 / schedule.sigma(t) ** 2
        torch.testing.assert_close(earlier + schedule.alpha(s) * fresh / schedule.alpha(t), 1 / a)


@every_schedule
@pytest.mark.parametrize("num_steps", [1, 7, 1000])
def test_the_chain_of_discrete_betas_has_the_marginals(schedule: Schedule, num_steps: int):
    t = torch.arange(num_steps + 1, dtype=torch.float64) / num_steps
    variance = 0.0
    for a, beta in zip(schedule.step_alpha(t[1:], t[:-1]), schedule.discrete_betas(num_steps), strict=True):
        variance = float(a) ** 2 * variance + float(beta)
    assert math.sqrt(variance) == pytest.approx(schedule.prior_std, rel=1e-11)


@every_schedule
def test_the_time_of_a_signal_to_noise_ratio_leads_back(schedule: Schedule):
    t = torch.linspace(0.001, 1, 101, dtype=torch.float64)
    torch.testing.assert_close(schedule.time_of_log_snr(schedule.log_snr(t)), t, rtol=1e-8, atol=1e-12)
    assert schedule.time_of_log_snr(f64(math.inf, -math.inf)).tolist() == pytest.approx([0, 1], abs=1e-15)


@every_schedule
def test_a_signal_to_noise_ratio_within_reach_is_met(schedule: Schedule):
    values = torch.linspace(-15, 12, 55, dtype=torch.float64)
    reached = schedule.log_snr(schedule.time_of_log_snr(values))
    torch.testing.assert_close(reached, values.maximum(schedule.log_snr(f64(1))), rtol=0, atol=1e-9)


@every_schedule
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_noise_added_in_low_precision_has_the_right_size_at_every_step(schedule: Schedule, dtype):
    # peers: no noise at all at up to 21 of 1000 steps, and more than 5% off at up to 52
    t = torch.arange(1, 1001, dtype=torch.float64) / 1000
    t = t[t >= schedule.t_first]
    zeros, ones = torch.zeros(len(t), 1, dtype=dtype), torch.ones(len(t), 1, dtype=dtype)
    noise, signal = schedule.add_noise(zeros, ones, t)[:, 0], schedule.add_noise(ones, zeros, t)[:, 0]
    assert noise.dtype == dtype
    assert ((noise.double() / schedule.sigma(t) - 1).abs() <= torch.finfo(dtype).eps).all()
    large = schedule.alpha(t) > torch.finfo(dtype).tiny
    assert ((signal.double() / schedule.alpha(t) - 1).abs()[large] <= torch.finfo(dtype).eps).all()
    velocity = schedule.alpha(t).to(dtype), schedule.sigma(t).to(dtype)
    assert all((number > 0).all() for number in (velocity[0][:-1], velocity[1]))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_signal_and_noise_in_low_precision_are_rounded_once(dtype: torch.dtype):
    t = torch.arange(1, 1001, dtype=torch.float64) / 1000
    x0, eps = torch.randn(2, 1000, 8, generator=torch.Generator().manual_seed(0)).to(dtype)
    exact = LinearVP().alpha(t)[:, None] * x0.double() + LinearVP().sigma(t)[:, None] * eps.double()
    limit = exact.abs() * torch.finfo(dtype).eps * 0.501 + 1e-7
    assert ((LinearVP().add_noise(x0, eps, t).double() - exact).abs() <= limit).all()


@every_schedule
def test_noise_is_added_per_sample_whatever_the_shape(schedule: Schedule):
    t = f64(0.3, 0.8)
    for shape in ((2, 5), (2, 3, 4, 4), (2, 1, 2, 3, 4)):
        x0, eps = torch.randn(2, *shape, dtype=torch.float64)
        for i in range(2):
            expected = schedule.alpha(t)[i] * x0[i] + schedule.sigma(t)[i] * eps[i]
            torch.testing.assert_close(schedule.add_noise(x0, eps, t)[i], expected)


@every_schedule
def test_a_schedule_can_be_compared_hashed_pickled_and_used_in_inference_mode(schedule: Schedule):
    other = pickle.loads(pickle.dumps(schedule))
    assert other == schedule
    assert hash(other) == hash(schedule)
    assert len(repr(schedule)) < 200
    with torch.inference_mode():
        g = schedule.diffusion(torch.tensor([0.5]))
    torch.testing.assert_close(g, schedule.diffusion(torch.tensor([0.5])))


def exact(schedule: Schedule, t: float) -> tuple[mpmath.mpf, mpmath.mpf]:
    """alpha and sigma of the closed forms, in 50 digits."""
    t, exp, sqrt = mpmath.mpf(t), mpmath.exp, mpmath.sqrt
    match schedule:
        case LinearVP(first, last) | SubVP(first, last):
            b = first * t + (mpmath.mpf(last) - first) * t * t / 2
            return exp(-b / 2), 1 - exp(-b) if isinstance(schedule, SubVP) else sqrt(1 - exp(-b))
        case ScaledLinearVP(first, last):
            a, c = sqrt(first), sqrt(last) - sqrt(first)
            b = ((a + c * t) ** 3 - a**3) / (3 * c)
            return exp(-b / 2), sqrt(1 - exp(-b))
        case ArticleLimit(rate):
            return exp(-rate * t * t), sqrt(1 - exp(-2 * rate * t * t))
        case VE(first, last):
            return mpmath.mpf(1), first * sqrt((mpmath.mpf(last) / first) ** (2 * t) - 1)
        case EDM(_, last, rho):
            return mpmath.mpf(1), last * t**rho
        case Cosine(offset, last):
            phi0 = mpmath.pi / 2 * offset / (1 + mpmath.mpf(offset))
            phi1 = mpmath.acos(last * mpmath.cos(phi0))
            alpha = mpmath.cos(phi0 + t * (phi1 - phi0)) / mpmath.cos(phi0)
            return alpha, sqrt(1 - alpha**2)
        case ZeroTerminalSNR(base):
            (a, _), (last, _) = exact(base, t), exact(base, 1)
            alpha = (a - last) / (1 - last)
            return alpha, sqrt(1 - alpha**2)
    raise NotImplementedError


@pytest.mark.parametrize("name", [n for n in SCHEDULES if n not in ("article", "discrete_betas")])
def test_every_digit_of_the_closed_forms_is_right(name: str):
    times = [1e-12, 1e-9, 1e-6, 1e-5, 1e-3, 0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99, 0.9999]
    schedule, t = DEFAULTS[name], f64(*times)
    with mpmath.workdps(50):
        truth = [exact(schedule, time) for time in times]
        for column, found in enumerate((schedule.alpha(t), schedule.sigma(t))):
            errors = [abs(float(mpmath.mpf(v) / row[column] - 1)) for v, row in zip(found.tolist(), truth, strict=True)]
            # rounding of t and of log alpha (up to 10) is all that is lost; toward alpha = 0 its slope multiplies it
            assert max(errors[:-1]) < 2e-14
            assert errors[-1] < 1e-11


def test_closed_forms_of_drift_and_diffusion():
    t = f64(0.0, 1e-5, 0.2, 0.7, 1.0)
    beta = 0.1 + 19.9 * t
    b = 0.1 * t + 19.9 / 2 * t * t
    torch.testing.assert_close(LinearVP().drift(t), -beta / 2)
    torch.testing.assert_close(LinearVP().diffusion(t), beta.sqrt())
    torch.testing.assert_close(SubVP().drift(t), -beta / 2)
    torch.testing.assert_close(SubVP().diffusion(t).square(), beta * -torch.expm1(-2 * b), atol=1e-15, rtol=1e-12)
    torch.testing.assert_close(VE().diffusion(t), 0.01 * 5000**t * math.sqrt(2 * math.log(5000)))
    torch.testing.assert_close(ArticleLimit().drift(t), -10 * t)
    torch.testing.assert_close(ArticleLimit().diffusion(t).square(), 20 * t)
    assert ArticleLimit().alpha(t).tolist() == LinearVP(0.0, 20.0).alpha(t).tolist()


def test_numbers_of_the_articles():
    article, limit, ho = ArticleSchedule(), ArticleLimit(), DiscreteBetas()
    t = torch.arange(1001, dtype=torch.float64) / 1000
    assert float(article.log_alpha(f64(1))) == pytest.approx(-5.0387, abs=5e-5)
    assert float(article.alpha(f64(1))) == pytest.approx(0.006482, abs=5e-7)
    assert float(ho.alpha(f64(1))) == pytest.approx(0.006353, abs=5e-7)
    assert float((article.alpha(t) - limit.alpha(t)).abs().max()) == pytest.approx(0.0019, abs=5e-5)
    assert float((article.alpha(t) / limit.alpha(t) - 1).abs().max()) == pytest.approx(0.038, abs=5e-4)
    assert float((article.alpha(t) - ho.alpha(t)).abs().max()) <= 0.0065
    torch.testing.assert_close(article.discrete_betas(1000), 0.02 * t[1:])
    torch.testing.assert_close(article.step_alpha(t[1:], t[:-1]), (1 - 0.02 * t[1:]).sqrt())


@pytest.mark.parametrize(
    "betas", [linear_betas(), scaled_linear_betas(), cosine_betas(), zero_terminal_betas(linear_betas())]
)
def test_a_table_is_met_at_its_steps(betas: torch.Tensor):
    schedule = DiscreteBetas(betas)
    torch.testing.assert_close(schedule.discrete_betas(len(betas)), betas, rtol=1e-12, atol=0)
    product = (1 - betas).cumprod(0)
    times = torch.arange(1, len(betas) + 1, dtype=torch.float64) / len(betas)
    torch.testing.assert_close(schedule.alpha(times).square(), product, rtol=1e-9, atol=1e-15)
    torch.testing.assert_close(schedule.alpha(times.float()).square(), product, rtol=1e-4, atol=1e-9)


def test_linear_betas_stay_linear_between_the_steps():
    t = torch.linspace(0.0001, 0.9999, 999, dtype=torch.float64)
    f = -2 * DiscreteBetas().drift(t) / 1000  # beta(t) of the chain, but for beta^2 / 2
    line = 1e-4 + (t * 1000 - 0.5) * (0.02 - 1e-4) / 999
    torch.testing.assert_close(f, line + line**2 / 2, rtol=2e-4, atol=2e-8)


def test_stretching_leaves_no_signal_and_the_first_step_alone():
    betas = zero_terminal_betas(linear_betas())
    assert betas[-1] == 1
    assert float(betas[0]) == pytest.approx(1e-4, rel=1e-12)
    for schedule in (DiscreteBetas(betas), ZeroTerminalSNR()):
        assert schedule.alpha(f64(1)) == 0
        assert schedule.log_snr(f64(1)) == -math.inf
        assert schedule.drift(f64(1)) == -math.inf
        assert schedule.diffusion(f64(1)) == math.inf
        assert schedule.posterior(f64(1), f64(0.5)).on_x_t == 0


@pytest.mark.parametrize(
    ("name", "betas"),
    [("linear", linear_betas()), ("scaled_linear", scaled_linear_betas()), ("squaredcos_cap_v2", cosine_betas())],
)
def test_tables_are_those_of_diffusers_in_double(name: str, betas: torch.Tensor):
    scheduler = pytest.importorskip("diffusers.schedulers.scheduling_ddpm").DDPMScheduler
    limits = {"beta_start": 0.00085, "beta_end": 0.012} if name == "scaled_linear" else {}
    torch.testing.assert_close(scheduler(beta_schedule=name, **limits).betas.double(), betas, rtol=2e-3, atol=1e-6)


def test_equal_steps_of_the_edm_time_are_the_grid_of_karras():
    n, rho = 18, 7
    t = torch.linspace(1, EDM().t_min, n, dtype=torch.float64)
    i = torch.arange(n, dtype=torch.float64)
    karras = (80 ** (1 / rho) + i / (n - 1) * (0.002 ** (1 / rho) - 80 ** (1 / rho))) ** rho
    torch.testing.assert_close(EDM().sigma(t), karras)


def test_the_cosine_ends_as_the_table_of_its_authors():
    last = DiscreteBetas(cosine_betas()).alpha(f64(1))
    torch.testing.assert_close(Cosine().alpha(f64(1)), last, rtol=0.02, atol=0)
    t = torch.arange(1, 1000, dtype=torch.float64) / 1000
    torch.testing.assert_close(Cosine().alpha(t), DiscreteBetas(cosine_betas()).alpha(t), rtol=0, atol=5e-5)


def test_the_step_before_the_first_is_the_data_however_time_was_rounded():
    first = torch.tensor([1 / 1000, 1 / 300, 1 / 3])
    for t, n in zip(first, (1000, 300, 3), strict=True):
        assert step_before(t, n) == 0
        assert step_before(2 * t, n) == pytest.approx(1 / n, rel=1e-4)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LinearVP(0.1, -5.0), "LinearVP.*has to fall"),
        (lambda: VE(50.0, 0.01), "VE.*has to fall"),
        (lambda: EDM(rho=-1.0), "EDM.*has to fall"),
        (lambda: DiscreteBetas([0.1, 0.0, 0.2]), r"betas\[1\] is 0.0"),
        (lambda: DiscreteBetas([1.0, 0.2]), r"betas\[0\] is 1.0"),
        (lambda: DiscreteBetas([0.1, float("nan")]), r"betas\[1\] is nan"),
        (lambda: ArticleSchedule(strength=2.0), "has to fall"),
    ],
)
def test_parameters_that_make_no_schedule_are_refused(make, message: str):
    with pytest.raises(OptionError, match=message):
        make()


class Turning(Schedule):
    """Whose noise grows until t = 0.3 and then falls."""

    def log_alpha(self, t: torch.Tensor) -> torch.Tensor:
        return torch.zeros_like(t)

    def log_sigma(self, t: torch.Tensor) -> torch.Tensor:
        return (1 - (t - 0.3).square()).log()


def test_a_schedule_that_turns_is_refused_with_the_time_at_which_it_does():
    with pytest.raises(OptionError, match=r"has to fall all the way; it does not at t=0\.375$"):
        Turning()  # looked at in sixteenths, of which the sixth is the first that is quieter than the one before
