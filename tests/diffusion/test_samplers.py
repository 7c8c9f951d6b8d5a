"""Every sampler: against the papers' own steps, with every schedule and parameterization, and what it refuses."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import FrozenInstanceError

import pytest
import torch
from torch import Tensor

from kexue.diffusion.exact import GaussianData, MixtureData, answer, f64, marginal, variance_of
from kexue.diffusion.grids import UniformTime
from kexue.diffusion.prediction import PARAMETERIZATIONS, Denoiser, Prediction
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
    MeasuredUncertainty,
    Multistep,
    PredictorCorrector,
    ReverseDiffusion,
    Sampler,
    SigmaHat,
    State,
    measure_uncertainty,
)
from kexue.diffusion.sampling import sample
from kexue.diffusion.schedules import SCHEDULES, VE, LinearVP, Schedule, SubVP
from kexue.errors import OptionError
from tests.reference import sampling as naive

LINEAR = LinearVP()
MIXTURE = MixtureData.three_modes()
NEEDS_SIGNAL = (EulerMaruyama,)


def sampler_of(name: str) -> Sampler:
    return SAMPLERS[name]()


def noise_of(num: int, seed: int = 0, dim: int = 1) -> Tensor:
    return torch.randn(num, dim, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def quantiles(num: int) -> Tensor:
    """Points whose distribution is N(0, 1)."""
    return torch.special.ndtri((torch.arange(num, dtype=torch.float64) + 0.5) / num)[:, None]


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("name", SAMPLERS)
def test_every_sampler_brings_gaussian_data_back_under_every_schedule(name: str, schedule: str):
    chosen, sampler, data_variance = SCHEDULES[schedule](), sampler_of(name), 0.25
    no_signal = float(chosen.alpha(f64(1.0))) == 0
    if isinstance(sampler, NEEDS_SIGNAL) and no_signal:
        with pytest.raises(OptionError, match="no finite step"):
            sampler.plan(chosen, sampler.grid.times(chosen, 10))
        return
    steep = isinstance(sampler, Euler) and schedule in ("ve", "edm")
    num_steps = 1 if isinstance(sampler, Adaptive) else 1500 if steep else 100
    denoise = answer(chosen, data_variance, mean=0.3)
    x = sample(denoise, chosen, quantiles(21), sampler, num_steps, torch.Generator().manual_seed(0))
    assert x.shape == (21, 1)
    assert x.dtype == torch.float64
    assert bool(x.isfinite().all())
    variance = variance_of(sampler, chosen, sampler.grid.times(chosen, num_steps), data_variance)
    assert variance == pytest.approx(data_variance, rel=0.15)


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_sampler_does_not_care_what_the_network_predicts(name: str):
    def predicting(kind: str) -> Denoiser:
        def denoise(x_t: Tensor, t: Tensor) -> Prediction:
            said = MIXTURE.denoiser(LINEAR)(x_t, t)
            parameterization = PARAMETERIZATIONS[kind]()
            value = parameterization.target(said.x0, said.eps, said.alpha, said.sigma)
            return Prediction(value, x_t, said.levels, parameterization)

        return denoise

    results = [
        sample(predicting(kind), LINEAR, noise_of(16), sampler_of(name), 12, torch.Generator().manual_seed(0))
        for kind in PARAMETERIZATIONS
    ]
    for other in results[1:]:
        torch.testing.assert_close(other, results[0], rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("name", SAMPLERS)
def test_noise_is_drawn_where_it_is_declared_and_nowhere_else(name: str):
    sampler = sampler_of(name)
    steps = sampler.plan(LINEAR, sampler.grid.times(LINEAR, 8))
    drawn = []

    def draw(x: Tensor) -> Tensor:
        drawn.append(x.shape)
        return torch.zeros_like(x)

    state = State(noise_of(3))
    for i, step in enumerate(steps):
        before = len(drawn)
        state = sampler.step(answer(LINEAR, 0.25), state, step, draw)
        assert (len(drawn) > before) == (sampler.stochastic and i < len(steps) - 1)


@pytest.mark.parametrize("name", SAMPLERS)
def test_the_last_step_keeps_its_noise_only_where_that_is_asked_for(name: str):
    sampler = sampler_of(name)
    times = f64([1.0, 0.5, 0.1])
    for last_noise in (False, True):
        last = sampler.plan(LINEAR, times, last_noise=last_noise)[-1]
        assert any(row.noise for row in last.rows) == (last_noise and sampler.stochastic)


@pytest.mark.parametrize("name", SAMPLERS)
def test_samplers_are_frozen_and_equal_when_their_settings_are(name: str):
    sampler = sampler_of(name)
    assert sampler == sampler_of(name)
    assert hash(sampler) == hash(sampler_of(name))
    with pytest.raises(FrozenInstanceError):
        sampler.order = 7  # type: ignore[misc]


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("times", [[1.2, 0.5], [0.5, -0.1], [0.5], [0.4, 0.4], [0.9, 0.3, 0.6], [float("nan"), 0.0]])
def test_a_time_off_the_schedule_or_out_of_order_is_refused(name: str, times: list[float]):
    with pytest.raises(OptionError):
        sampler_of(name).plan(LINEAR, f64(times))


@pytest.mark.parametrize("name", SAMPLERS)
def test_only_deterministic_samplers_can_be_run_toward_the_noise(name: str):
    sampler, rising = sampler_of(name), f64([0.1, 0.5, 1.0])
    if sampler.stochastic:
        with pytest.raises(OptionError, match="cannot be run toward the noise"):
            sampler.plan(LINEAR, rising)
    else:
        assert len(sampler.plan(LINEAR, rising)) == 2


@pytest.mark.parametrize("eta", [-0.1, 1.6, float("nan"), float("inf")])
@pytest.mark.parametrize("kind", [DDIM, AnalyticDPM, Multistep, Adams])
def test_an_eta_outside_its_range_is_refused(kind: Callable[..., Sampler], eta: float):
    with pytest.raises(OptionError, match=r"within 0 .* and 1"):
        kind(eta=eta)


@pytest.mark.parametrize(
    "make",
    [
        lambda: PredictorCorrector(snr=0.0),
        lambda: PredictorCorrector(num_corrections=-1),
        lambda: Adams(data_std=0.0),
        lambda: Adaptive(rtol=0.0),
        lambda: Adaptive(atol=-1e-3),
        lambda: MeasuredUncertainty((1.0,), (0.0,)),
        lambda: MeasuredUncertainty((1.0, 0.0), (0.0,)),
    ],
)
def test_settings_that_make_no_sense_are_refused(make: Callable[[], object]):
    with pytest.raises(OptionError):
        make()


NAIVE: dict[str, tuple[Sampler, Callable[..., Tensor]]] = {
    "ddim": (DDIM(), lambda *a: naive.ddim(*a, eta=0.0)),
    "ddim, eta=0.5": (DDIM(eta=0.5), lambda *a: naive.ddim(*a, eta=0.5)),
    "ddpm": (DDIM(eta=1.0), lambda *a: naive.ddim(*a, eta=1.0)),
    "sigma_hat": (SigmaHat(), naive.ancestral),
    "euler_maruyama": (EulerMaruyama(), naive.reverse_sde),
    "reverse_diffusion": (ReverseDiffusion(), naive.reverse_diffusion),
    "predictor_corrector": (PredictorCorrector(snr=0.2), lambda *a: naive.reverse_diffusion(*a, snr=0.2)),
    "euler": (Euler(), lambda e, c, t, x, _: naive.euler(e, c, t, x)),
    "heun": (Heun(), lambda e, c, t, x, _: naive.heun(e, c, t, x)),
    "multistep": (Multistep(), lambda e, c, t, x, _: naive.dpm_solver_2m(e, c, t, x)),
    "multistep, eta=1": (Multistep(eta=1.0), naive.sde_dpm_solver_2m),
    "adams": (Adams(data_std=0.4), lambda *a: naive.adams(*a, data_std=0.4, eta=0.0)),
    "adams, eta=0.5": (Adams(eta=0.5, data_std=0.4), lambda *a: naive.adams(*a, data_std=0.4, eta=0.5)),
    "adams, eta=1": (Adams(eta=1.0, data_std=0.4), lambda *a: naive.adams(*a, data_std=0.4, eta=1.0)),
    "analytic_dpm": (AnalyticDPM(GaussianUncertainty(0.0)), lambda *a: naive.ddim(*a, eta=1.0)),
}


@pytest.mark.parametrize("schedule", [LinearVP(), SubVP(), VE(sigma_max=5.0)], ids=lambda s: type(s).__name__)
@pytest.mark.parametrize("name", NAIVE)
def test_a_sampler_takes_the_steps_that_its_paper_writes(name: str, schedule: Schedule):
    sampler, reference = NAIVE[name]
    times = [1.0, 0.8, 0.55, 0.5, 0.2, 0.02] + ([] if name.startswith("adams") else [0.0])
    denoise = MIXTURE.denoiser(schedule)
    noises = torch.randn(20, 8, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    drawn = iter(noises)
    state = State(schedule.prior_std * noise_of(8))
    expected = reference(
        lambda x, t: denoise(x, torch.full((8,), t, dtype=torch.float64)).eps,
        schedule,
        times,
        state.x,
        lambda k: noises[k],
    )
    for step in sampler.plan(schedule, f64(times)):
        state = sampler.step(denoise, state, step, lambda _: next(drawn))
    torch.testing.assert_close(state.x, expected, rtol=1e-8, atol=1e-8)


def test_every_sampler_has_a_naive_reference():
    tested = {type(sampler) for sampler, _ in NAIVE.values()}
    assert tested == {*SAMPLERS.values()} - {Adaptive}  # which is tested against the exact flow


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_step_compiles_as_one_graph(name: str):
    sampler = sampler_of(name)
    if isinstance(sampler, Adaptive):
        pytest.skip("it looks at errors to choose its steps, so it has no fixed graph")

    def denoise(x: Tensor, t: Tensor) -> Prediction:
        return Prediction.from_eps(0.5 * x, x, 0.8, 0.6)

    steps = sampler.plan(LINEAR, sampler.grid.times(LINEAR, 4))
    state = State(noise_of(4).float())
    state = sampler.step(denoise, state, steps[0], torch.zeros_like)
    compiled = torch.compile(sampler.step, backend="eager", fullgraph=True)
    ours = compiled(denoise, state, steps[1], torch.zeros_like)
    torch.testing.assert_close(ours.x, sampler.step(denoise, state, steps[1], torch.zeros_like).x)


def test_a_step_leaves_its_inputs_alone():
    for name in SAMPLERS:
        sampler, x = sampler_of(name), noise_of(4)
        kept = x.clone()
        state = State(x)
        for step in sampler.plan(LINEAR, sampler.grid.times(LINEAR, 3)):
            state = sampler.step(answer(LINEAR, 0.25), state, step, torch.randn_like)
        assert torch.equal(x, kept), name


def test_gradients_pass_through_a_step():
    for name in SAMPLERS:
        sampler, x = sampler_of(name), noise_of(4).requires_grad_()
        state = State(x)
        for step in sampler.plan(LINEAR, f64([1.0, 0.6, 0.3])):
            state = sampler.step(answer(LINEAR, 0.25), state, step, torch.randn_like)
        (gradient,) = torch.autograd.grad(state.x.sum(), x)
        assert bool((gradient != 0).all()), name


WITH_ETA = [kind(eta=eta) for kind in (DDIM, Multistep, Adams) for eta in (0.0, 0.5, 1.0)]


@pytest.mark.parametrize("sampler", WITH_ETA, ids=str)
def test_a_walk_that_begins_in_the_middle_of_a_plan_begins_with_a_step_of_ddim(sampler: Sampler):
    times = sampler.grid.times(LINEAR, 10)
    plans = (sampler.plan(LINEAR, times), DDIM(eta=sampler.eta).plan(LINEAR, times))
    ours, theirs = (
        one.step(MIXTURE.denoiser(LINEAR), State(noise_of(5)), plan[5], torch.zeros_like).x
        for one, plan in zip((sampler, DDIM()), plans, strict=True)
    )
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("sampler", WITH_ETA, ids=str)
def test_a_step_goes_on_from_where_x_is_also_if_it_was_moved(sampler: Sampler):
    def always(x: Tensor, t: Tensor) -> Prediction:
        alpha, sigma = LINEAR.alpha(t)[:, None], LINEAR.sigma(t)[:, None]
        return Prediction.from_x0(torch.full_like(x, 0.7), x, alpha, sigma)

    state, steps = State(noise_of(5)), sampler.plan(LINEAR, sampler.grid.times(LINEAR, 10))
    for step in steps[:5]:
        state = sampler.step(always, state, step, torch.zeros_like)
    moved = state._replace(x=state.x + 1)
    here, there = (sampler.step(always, each, steps[5], torch.zeros_like).x for each in (state, moved))
    noise = steps[5].rows[0].noise
    sigma, sigma_after = (float(LINEAR.sigma(f64(t))) for t in (steps[5].t, steps[5].s))
    torch.testing.assert_close(there - here, torch.full_like(here, math.sqrt(sigma_after**2 - noise**2) / sigma))


def test_one_step_is_the_networks_first_guess_for_samplers_built_on_x0():
    for sampler in (*WITH_ETA, SigmaHat(), AnalyticDPM()):
        x = sample(MIXTURE.denoiser(LINEAR), LINEAR, noise_of(5), sampler, 1)
        start = LINEAR.prior_std * noise_of(5)
        expected = MIXTURE.denoiser(LINEAR)(start, torch.ones(5, dtype=torch.float64)).x0
        torch.testing.assert_close(x, expected, rtol=1e-9, atol=1e-9)


def test_measured_uncertainty_is_that_of_the_data_at_both_ends():
    data = GaussianData.scalar(0.3, 0.25)
    x0, times = data.sample(40_000, seed=3), torch.tensor([0.001, 0.01, 0.1, 0.4, 0.9, 1.0], dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    measured = measure_uncertainty(data.denoiser(LINEAR), LINEAR, x0, times, generator)
    exact = GaussianUncertainty(0.25).variance(LINEAR, times)
    torch.testing.assert_close(measured.variance(LINEAR, times), exact, rtol=0.05, atol=0)


def test_measured_uncertainty_is_read_between_and_beyond_its_measurements():
    times = UniformTime().times(LINEAR, 200)[:-1]
    exact = GaussianUncertainty(0.25)
    nodes = times[::10].flip(0)
    table = MeasuredUncertainty(
        tuple(LINEAR.log_snr(nodes).tolist()), tuple(exact.variance(LINEAR, nodes).log().tolist())
    )
    torch.testing.assert_close(table.variance(LINEAR, nodes), exact.variance(LINEAR, nodes), rtol=1e-12, atol=0)
    torch.testing.assert_close(table.variance(LINEAR, times), exact.variance(LINEAR, times), rtol=0.12, atol=0)
    near = torch.tensor([1e-4, 1e-5], dtype=torch.float64)
    torch.testing.assert_close(
        MeasuredUncertainty(table.log_snr, table.log_variance).variance(LINEAR, near).log().diff(),
        exact.variance(LINEAR, near).log().diff(),
        rtol=1e-2,
        atol=0,
    )


def test_uncertainty_is_refused_where_there_is_no_noise():
    data = GaussianData.scalar()
    with pytest.raises(OptionError, match="both signal and noise"):
        measure_uncertainty(data.denoiser(LINEAR), LINEAR, data.sample(10), f64([0.0, 0.5]))


def test_the_measured_variance_brings_few_step_ddpm_near_the_data():
    data_variance = 0.05
    data = GaussianData.scalar(0.0, data_variance)
    times = UniformTime().times(LINEAR, 10)
    measured = measure_uncertainty(
        data.denoiser(LINEAR), LINEAR, data.sample(20_000), times[:-1], torch.Generator().manual_seed(0)
    )
    spread = [
        variance_of(sampler, LINEAR, times[:-1], data_variance, last_noise=True)
        / marginal(LINEAR, float(times[-2]), data_variance)
        for sampler in (AnalyticDPM(measured), DDIM(eta=1.0), SigmaHat())
    ]
    assert spread[0] == pytest.approx(1, abs=0.03)
    assert abs(spread[1] - 1) > 0.15
    assert abs(spread[2] - 1) > 0.15
