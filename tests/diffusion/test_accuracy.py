"""How near a sampler comes to the law of the data: closed forms, orders, and distances to a mixture."""

from __future__ import annotations

import math
from functools import cache
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from kexue.diffusion.exact import MixtureData, at, f64, marginal, variance_of, variances_of
from kexue.diffusion.grids import (
    GRIDS,
    QUADRATIC,
    Leading,
    Linspace,
    TimeGrid,
    Trailing,
    UniformAngle,
    UniformTime,
)
from kexue.diffusion.samplers import (
    DDIM,
    SAMPLERS,
    Adams,
    Adaptive,
    AnalyticDPM,
    Euler,
    EulerMaruyama,
    GaussianUncertainty,
    Heun,
    Multistep,
    PredictorCorrector,
    ReverseDiffusion,
    Sampler,
    SigmaHat,
)
from kexue.diffusion.sampling import sample, walk
from kexue.diffusion.schedules import VE, Cosine, DiscreteBetas, LinearVP, Schedule, SubVP

LINEAR = LinearVP()
MIXTURE = MixtureData.three_modes()
SCHEDULES_WITH_SIGNAL = [LINEAR, SubVP(), VE(), Cosine(), DiscreteBetas()]
EXACT = 1e-10
NUM = 400


def named(schedule: Schedule) -> str:
    return type(schedule).__name__


@pytest.mark.parametrize("variance", [1.0, 0.25, 0.01, 4.0])
@pytest.mark.parametrize("grid", list(GRIDS))
@pytest.mark.parametrize("schedule", SCHEDULES_WITH_SIGNAL, ids=named)
def test_ddim_has_the_closed_form_variance_on_any_grid(schedule: Schedule, grid: str, variance: float):
    for num_steps in (3, 10, 97):
        times = GRIDS[grid]().times(schedule, num_steps)
        turn = torch.atan2(schedule.sigma(times), schedule.alpha(times) * math.sqrt(variance)).diff()
        start = schedule.prior_std**2 / marginal(schedule, float(times[0]), variance)
        closed = variance * start * float(turn.cos().square().prod())
        assert variance_of(DDIM(), schedule, times, variance) == pytest.approx(closed, rel=EXACT)


@pytest.mark.parametrize("num_steps", [10, 20, 50, 100, 1000])
def test_equal_angles_lose_the_variance_of_the_closed_form(num_steps: int):
    times = UniformAngle(data_std=0.7).times(LINEAR, num_steps)
    start = marginal(LINEAR, 1.0, 0.49)
    angle = math.atan2(*reversed([math.sqrt(0.49) * at(LINEAR, 1.0)[0], at(LINEAR, 1.0)[1]]))
    closed = 0.49 * math.cos(angle / num_steps) ** (2 * num_steps)
    if float(times[-2]) > LINEAR.t_min:
        assert variance_of(DDIM(), LINEAR, times, 0.49, start=start) == pytest.approx(closed, rel=1e-9)


def step_variances(sampler: Sampler, variance: float, start_exact: bool = True) -> list[float]:
    """Relative errors of the law at every time of grids of 1 to 50 steps, the last noise kept."""
    errors = []
    for schedule in SCHEDULES_WITH_SIGNAL:
        for num_steps in (1, 2, 10, 50):
            times = UniformTime(end=0.001).times(schedule, num_steps)
            ours = variance_of(
                sampler, schedule, times, variance, start=marginal(schedule, 1.0, variance), last_noise=True
            )
            errors.append(abs(ours / marginal(schedule, float(times[-1]), variance) - 1))
    return errors


@pytest.mark.parametrize("variance", [1.0, 0.25, 0.001, 4.0])
@pytest.mark.parametrize("eta", [0.0, 0.3, 1.0])
def test_the_analytic_variance_is_exact_for_every_gaussian_at_any_number_of_steps(variance: float, eta: float):
    errors = step_variances(AnalyticDPM(GaussianUncertainty(variance), eta=eta), variance)
    assert max(errors) < EXACT


def test_the_larger_fixed_variance_is_exact_for_unit_gaussians_on_variance_preserving_schedules():
    for schedule in (LINEAR, Cosine(), DiscreteBetas()):
        for num_steps in (1, 2, 10, 50):
            times = UniformTime(end=0.001).times(schedule, num_steps)
            ours = variance_of(SigmaHat(), schedule, times, 1.0, start=1.0, last_noise=True)
            assert ours == pytest.approx(1.0, rel=EXACT)


def test_the_smaller_fixed_variance_is_exact_for_a_point():
    for schedule in SCHEDULES_WITH_SIGNAL:
        for num_steps in (1, 2, 10, 50):
            times = UniformTime(end=0.001).times(schedule, num_steps)
            start = marginal(schedule, 1.0, 0.0)
            ours = variance_of(DDIM(eta=1.0), schedule, times, 0.0, start=start, last_noise=True)
            assert ours == pytest.approx(marginal(schedule, 0.001, 0.0), rel=EXACT)


def test_the_fixed_variances_miss_a_quarter_by_what_was_measured_of_the_paper():
    schedule = DiscreteBetas()
    small, large = (
        [variance_of(s, schedule, Leading().times(schedule, n), 0.25) / 0.25 - 1 for n in (50, 1000)]
        for s in (DDIM(eta=1.0), SigmaHat())
    )
    assert small == pytest.approx([-0.211, -0.0155], rel=0.05)
    assert large == pytest.approx([0.070, 0.0030], rel=0.2)  # without the noise of the last step


def test_what_leaving_out_the_last_noise_costs_is_the_uncertainty_left():
    for variance in (1.0, 0.25, 0.001):
        schedule = DiscreteBetas()
        times = UniformTime().times(schedule, 1000)
        sampler = AnalyticDPM(GaussianUncertainty(variance))
        ours = variance_of(sampler, schedule, times, variance, start=marginal(schedule, 1.0, variance))
        lost = float(GaussianUncertainty(variance).variance(schedule, times[-2]))
        assert ours == pytest.approx(variance - lost, rel=1e-9)


def flow_rate(schedule: Schedule, t: Tensor, variance: float) -> Tensor:
    """d log x / dt on the probability flow of centred Gaussian data."""
    f, g = schedule.drift(t), schedule.diffusion(t)
    return f + g.square() / (2 * (schedule.alpha(t).square() * variance + schedule.sigma(t).square()))


@pytest.mark.parametrize("variance", [1.0, 0.25, 0.01])
@pytest.mark.parametrize("schedule", [LINEAR, SubVP(), VE()], ids=named)
def test_euler_and_heun_multiply_as_their_closed_forms_do(schedule: Schedule, variance: float):
    times = UniformTime(end=0.001).times(schedule, 40)
    t, s, h = times[:-1], times[1:], times.diff()
    rate, rate_then = (flow_rate(schedule, u, variance) for u in (t, s))
    for sampler, factors in (
        (Euler(), 1 + h * rate),
        (Heun(), 1 + h / 2 * (rate + rate_then * (1 + h * rate))),
    ):
        closed = schedule.prior_std**2 * float(factors.square().prod())
        assert variance_of(sampler, schedule, times, variance) == pytest.approx(closed, rel=EXACT)


@pytest.mark.parametrize(("variance", "constant"), [(0.25, -0.456), (0.01, -6.93)])
def test_eulers_first_order_constant_is_the_predicted_one(variance: float, constant: float):
    errors = [flow_error(Euler(), variance, n) * n for n in (1000, 2000)]
    assert 2 * errors[1] - errors[0] == pytest.approx(constant, rel=0.02)


@pytest.mark.parametrize(("num_steps", "error"), [(50, 1.07e-3), (1000, 2.8e-6)])
def test_heuns_error_is_the_predicted_one(num_steps: int, error: float):
    assert abs(flow_error(Heun(), 0.25, num_steps)) == pytest.approx(error, rel=0.05)


def flow_error(sampler: Sampler, variance: float, num_steps: int) -> float:
    """Relative error of the standard deviation between t = 1 and 1e-3, begun at the exact one."""
    times = UniformTime(end=0.001).times(LINEAR, num_steps)
    ours = variance_of(sampler, LINEAR, times, variance, start=marginal(LINEAR, 1.0, variance))
    return math.sqrt(ours / marginal(LINEAR, 0.001, variance)) - 1


@pytest.mark.parametrize("variance", [1.0, 0.25, 0.01])
def test_the_reverse_sde_has_the_variance_of_its_recursion(variance: float):
    times = UniformTime(end=0.001).times(LINEAR, 200)
    expected = LINEAR.prior_std**2
    for t, s in zip(times[:-1].tolist(), times[1:].tolist(), strict=True):
        beta, spread = 0.1 + 19.9 * t, marginal(LINEAR, t, variance)
        expected = (1 + (t - s) * beta * (0.5 - 1 / spread)) ** 2 * expected + beta * (t - s)
    ours = variance_of(EulerMaruyama(), LINEAR, times, variance, last_noise=True)
    assert ours == pytest.approx(expected, rel=EXACT)


@pytest.mark.parametrize(("variance", "constant"), [(1.0, 1.40), (0.25, 1.43), (0.01, 6.33)])
def test_the_reverse_sde_spreads_too_much_by_the_predicted_constant(variance: float, constant: float):
    errors = []
    for n in (1000, 2000):
        times = UniformTime(end=0.001).times(LINEAR, n)
        start = marginal(LINEAR, 1.0, variance)
        ours = variance_of(EulerMaruyama(), LINEAR, times, variance, start=start, last_noise=True)
        errors.append((ours / marginal(LINEAR, 0.001, variance) - 1) * n)
    assert 2 * errors[1] - errors[0] == pytest.approx(constant, rel=0.05)


@pytest.mark.parametrize("snr", [0.16, 0.05])
def test_a_correctors_bias_is_gone_when_steps_grow(snr: float):
    """With e = 2 (snr |z|/|score|)^2 it would stay at snr^2: 2.56% at 0.16."""
    data = f64([1.0, 0.25, 0.01])
    errors = [
        (variances_of(PredictorCorrector(snr=snr), LINEAR, UniformTime().times(LINEAR, n), data) / data - 1).abs()
        for n in (250, 1000)
    ]
    assert bool((errors[1] < errors[0] * 4**-0.4).all())
    if snr == 0.16:
        assert bool((errors[1] < snr**2 / 3).all())


DETERMINISTIC = [name for name in SAMPLERS if not SAMPLERS[name]().stochastic and name != "adaptive"]


@cache
def exact_flow(schedule: Schedule, end: float) -> tuple[Tensor, Tensor]:
    """Noise, and where the probability flow of the mixture brings it at `end`: its quantiles stay what they are."""
    z = torch.linspace(-2, 2, 41, dtype=torch.float64)[:, None]
    start = quantile(MIXTURE.at(schedule, 1.0), torch.special.ndtr(z))
    return start, quantile(MIXTURE.at(schedule, end), torch.special.ndtr(z))


def quantile(law: MixtureData, level: Tensor) -> Tensor:
    low, high = torch.full_like(level, -200.0), torch.full_like(level, 200.0)
    for _ in range(90):
        middle = (low + high) / 2
        below = (law.weights * torch.special.ndtr((middle - law.means[:, 0]) / law.stds)).sum(-1, keepdim=True) < level
        low, high = torch.where(below, middle, low), torch.where(below, high, middle)
    return (low + high) / 2


@pytest.mark.parametrize("grid", [UniformTime(end=0.05), UniformAngle(end=0.05)], ids=str)
@pytest.mark.parametrize("name", DETERMINISTIC)
def test_a_deterministic_samplers_order_on_a_mixture_is_the_declared_one(name: str, grid: TimeGrid):
    sampler, errors = SAMPLERS[name](), []
    counts = (1000, 2000) if sampler.order == 1 else (400, 800)
    x, exact = exact_flow(LINEAR, 0.05)
    for num_steps in counts:
        steps = sampler.plan(LINEAR, grid.times(LINEAR, num_steps))
        *_, last = walk(MIXTURE.denoiser(LINEAR), sampler, steps, x)
        errors.append(float((last.x - exact).square().mean().sqrt()))
    slope = math.log(errors[0] / errors[1]) / math.log(counts[1] / counts[0])
    assert slope == pytest.approx(sampler.order, abs=0.1)


@pytest.mark.parametrize("name", DETERMINISTIC)
def test_a_deterministic_samplers_order_on_a_gaussian_is_the_declared_one(name: str):
    sampler, variance, errors = SAMPLERS[name](), 0.1, []
    for num_steps in (400, 800):
        times = UniformTime(end=0.05).times(LINEAR, num_steps)
        ours = variance_of(sampler, LINEAR, times, variance, start=marginal(LINEAR, 1.0, variance))
        errors.append(abs(math.sqrt(ours / marginal(LINEAR, 0.05, variance)) - 1))
    assert math.log2(errors[0] / errors[1]) == pytest.approx(sampler.order, abs=0.1)


NOISY = [EulerMaruyama(), ReverseDiffusion(), SigmaHat()]
NOISY += [kind(eta=eta) for kind in (DDIM, Multistep, Adams) for eta in (0.5, 1.0)]


@pytest.mark.parametrize("sampler", NOISY, ids=str)
def test_a_stochastic_samplers_weak_order_is_the_declared_one(sampler: Sampler):
    errors = []
    for num_steps in (500, 1000):
        times = UniformTime(end=0.001).times(LINEAR, num_steps)
        start = marginal(LINEAR, 1.0, 0.25)
        ours = variance_of(sampler, LINEAR, times, 0.25, start=start, last_noise=True)
        errors.append(abs(ours / marginal(LINEAR, 0.001, 0.25) - 1))
    assert math.log2(errors[0] / errors[1]) == pytest.approx(sampler.order, abs=0.1)


@pytest.mark.parametrize("tolerance", [1e-3, 1e-5, 1e-8])
def test_an_adaptive_samplers_error_follows_its_tolerance(tolerance: float):
    x, exact = exact_flow(LINEAR, 0.05)
    sampler = Adaptive(rtol=tolerance, atol=tolerance)
    *_, last = walk(MIXTURE.denoiser(LINEAR), sampler, sampler.plan(LINEAR, f64([1.0, 0.05])), x)
    assert float((last.x - exact).abs().quantile(0.8)) < 10 * tolerance


def test_below_the_first_time_of_a_schedule_the_adaptive_sampler_is_ddim():
    x, times = torch.linspace(-2, 2, 9, dtype=torch.float64)[:, None], f64([LINEAR.t_min / 2, 0.0])
    found, expected = (
        list(walk(MIXTURE.denoiser(LINEAR), sampler, sampler.plan(LINEAR, times), x))[-1].x
        for sampler in (Adaptive(), DDIM())
    )
    assert torch.equal(found, expected)


@pytest.mark.parametrize("num_steps", [1, 2, 5, 20])
@pytest.mark.parametrize("variance", [0.25, 0.04, 2.0])
def test_adams_of_the_right_spread_is_exact_for_gaussian_data_but_for_its_first_step(num_steps: int, variance: float):
    """Two answers make a line; the first step has one only, so it is made from the second answer, and so exact too."""
    sampler = Adams(data_std=math.sqrt(variance))
    times = UniformAngle(data_std=math.sqrt(variance), end=0.01).times(LINEAR, num_steps + 1)
    start = marginal(LINEAR, 1.0, variance)
    ours = variance_of(sampler, LINEAR, times, variance, start=start) / marginal(LINEAR, 0.01, variance)
    ddim = variance_of(DDIM(), LINEAR, times, variance, start=start) / marginal(LINEAR, 0.01, variance)
    assert abs(ours - 1) < abs(ddim - 1) / (1.5 if num_steps == 1 else 3)
    if num_steps == 20:
        assert ours == pytest.approx(1, abs=1e-4)


def w1(sampler: Sampler, num_steps: int, grid: TimeGrid | None = None, schedule: Schedule | None = None) -> float:
    """Distance of what quantiles of N(0, 1) become to the quantiles of the mixture."""
    schedule = schedule or DiscreteBetas()
    levels = ((torch.arange(NUM, dtype=torch.float64) + 0.5) / NUM)[:, None]
    x = sample(MIXTURE.denoiser(schedule), schedule, torch.special.ndtri(levels), sampler, num_steps, grid=grid)
    return float((x.sort(0).values - quantile(MIXTURE, levels)).abs().mean())


@pytest.mark.parametrize(("num_calls", "best_of_diffusers"), [(10, 0.0184), (20, 0.00512), (50, 0.000649)])
def test_adams_is_nearer_the_mixture_than_any_scheduler_of_diffusers_with_as_many_calls(
    num_calls: int, best_of_diffusers: float
):
    """The best of about 280 combinations of schedulers and options of diffusers 0.42.1: `kexue.benchmarks.samplers`."""
    assert w1(Adams(), num_calls) < best_of_diffusers


@pytest.mark.parametrize(("num_steps", "bound"), [(10, 0.006), (50, 0.001)])
def test_heun_on_a_quadratic_grid_is_near_at_two_calls_a_step(num_steps: int, bound: float):
    assert w1(Heun(), num_steps, QUADRATIC) < bound


@pytest.mark.slow
@pytest.mark.parametrize("spacing", [Trailing(), Linspace()], ids=lambda g: type(g).__name__)
def test_more_steps_are_never_worse_whether_they_divide_the_chain_or_not(spacing: TimeGrid):
    counts = [1, 2, 3, 5, 11, 17, 29, 50, 97, 251, 499, 500, 501, 600, 797, 1000, 1009, 1499]
    errors = [w1(DDIM(), n, spacing) for n in counts]
    for before, after in pairwise(errors):
        assert after < before * 1.02 + 1e-4
    assert errors[-1] < 0.002


def test_every_sampler_comes_nearer_with_more_steps():
    for name in ("ddim", "euler", "heun", "multistep", "adams"):
        errors = [w1(SAMPLERS[name](), n) for n in (5, 10, 20, 40, 80)]
        assert errors == sorted(errors, reverse=True), name


@pytest.mark.slow
def test_the_table_of_the_ddim_paper_has_its_shape_on_an_images_spectrum():
    """Noise hurts at few steps, most of all sigma-hat's, which is the best at many: Frechet distances, 1/f^3."""
    edges = torch.logspace(0, 3, 13, dtype=torch.float64)
    spectrum, shares, schedule = (edges[1:] * edges[:-1]).sqrt() ** -3, edges.diff(), DiscreteBetas()

    def distances(num_steps: int) -> list[float]:
        times = Leading().times(schedule, num_steps)
        laws = [
            variances_of(sampler, schedule, times, spectrum)
            for sampler in (DDIM(), DDIM(eta=0.5), DDIM(eta=1.0), SigmaHat())
        ]
        return [float((shares * (law.sqrt() - spectrum.sqrt()).square()).sum()) for law in laws]

    few, many = distances(10), distances(1000)
    assert few == sorted(few)
    assert few[3] > 2 * few[0]
    assert many[3] == min(many)
