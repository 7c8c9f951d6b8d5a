"""What peers get wrong when they sample, each with the number that shows it is right here.

Measured on diffusers 0.42.1, score_sde_pytorch, lucidrains' and azula's samplers; the numbers are in the docstrings.
"""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from kexue.diffusion.denoising import Clip, Thresholded
from kexue.diffusion.exact import GaussianData, MixtureData, answer, f64, variance_of
from kexue.diffusion.grids import Leading, Linspace, Trailing, UniformTime
from kexue.diffusion.inversion import encode
from kexue.diffusion.prediction import Prediction
from kexue.diffusion.samplers import DDIM, SAMPLERS, Adams, EulerMaruyama, PredictorCorrector, SigmaHat
from kexue.diffusion.sampling import sample
from kexue.diffusion.schedules import VE, Cosine, DiscreteBetas, LinearVP, SubVP, ZeroTerminalSNR, cosine_betas
from kexue.errors import OptionError

CHAIN = DiscreteBetas()


def normal(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("num_steps", [300, 400, 501, 600, 700, 900, 997])
@pytest.mark.parametrize("spacing", [Trailing(), Linspace()], ids=lambda g: type(g).__name__)
def test_numbers_of_steps_that_do_not_divide_the_chain_step_to_the_next_time_and_not_past_it(spacing, num_steps: int):
    """diffusers' DDIM steps N // S back whatever the next time is: variance +42% at 501 steps, +30% at 600."""
    steps = DDIM().plan(CHAIN, spacing.times(CHAIN, num_steps))
    assert [step.s for step in steps[:-1]] == [step.t for step in steps[1:]]
    variance = variance_of(DDIM(), CHAIN, spacing.times(CHAIN, num_steps), 0.25)
    assert variance == pytest.approx(0.25, rel=0.03)


@pytest.mark.parametrize("num_steps", [501, 600, 750])
def test_leading_begins_at_the_noise_whatever_the_number_of_steps(num_steps: int):
    """diffusers begins at t = 500 of 1000 for 501 steps, where the signal is 0.28 and not 0."""
    first = Leading().times(CHAIN, num_steps)[0]
    assert float(CHAIN.alpha(first)) < 0.0075


def test_more_steps_than_were_trained_are_possible():
    """diffusers refuses them."""
    assert variance_of(DDIM(), CHAIN, UniformTime().times(CHAIN, 1800), 0.25) == pytest.approx(0.25, rel=0.01)


@pytest.mark.parametrize("num_steps", [10, 50])
def test_no_noise_is_left_by_the_last_step_of_the_larger_variance(num_steps: int):
    """diffusers' fixed_large leaves a standard deviation of 0.32 at 10 trailing steps, 0.076 at 50, on a point."""
    denoise = answer(CHAIN, 0.0, mean=0.7)
    x = sample(denoise, CHAIN, normal(64, 2), SigmaHat(), num_steps, torch.Generator(), grid=Trailing())
    torch.testing.assert_close(x, torch.full_like(x, 0.7), rtol=0, atol=1e-6)


def test_clipping_x0_re_derives_eps_so_more_steps_are_not_worse():
    """diffusers clips x_0 and keeps eps: distance 0.76 at 50 steps, 3.05 at 1,000. Here data touch the limits."""
    data = MixtureData(f64([0.5, 0.5]), f64([[-1.0], [0.96]]), f64([0.05, 0.05]))
    errors = []
    for num_steps in (50, 200, 1000):
        clipped = Thresholded(data.denoiser(CHAIN), Clip())
        x = sample(clipped, CHAIN, normal(400, 1), DDIM(), num_steps)
        free = sample(data.denoiser(CHAIN), CHAIN, normal(400, 1), Adams(), 200).clamp(-1, 1)
        errors.append(float((x - free).abs().mean()))
    assert errors[0] < 0.1
    assert errors[2] <= errors[0] * 1.05
    assert errors[1] <= errors[0] * 1.05
    said = Thresholded(data.denoiser(CHAIN), Clip())(3 * normal(50, 1), torch.full((50,), 0.3, dtype=torch.float64))
    torch.testing.assert_close(said.alpha * said.x0 + said.sigma * said.eps, 3 * normal(50, 1))


@pytest.mark.parametrize("eta", [1.6, -0.5])
def test_an_eta_that_has_no_root_is_an_error(eta: float):
    """diffusers gives NaN in silence at 1.6."""
    with pytest.raises(OptionError, match="eta"):
        DDIM(eta=eta)


def test_eta_scales_the_standard_deviation_and_not_the_variance():
    """azula scales the variance: at 0.2 a standard deviation of 0.39 in place of 0.175."""
    full, fifth = (DDIM(eta=eta).plan(CHAIN, f64([0.8, 0.4, 0.0]))[0].rows[0].noise for eta in (1.0, 0.2))
    assert fifth == pytest.approx(0.2 * full, rel=1e-12)


@pytest.mark.parametrize("times", [[1.0, 1.0005], [1.3, 0.4], [0.5, 0.5], [-0.2, 0.0]])
def test_a_time_off_the_schedule_is_refused(times: list[float]):
    """diffusers takes any."""
    with pytest.raises(OptionError):
        DDIM().plan(CHAIN, f64(times))


def test_no_noise_is_drawn_where_none_is_added():
    """azula, lucidrains and k-diffusion draw it at eta = 0 and pay 690 us a step for it."""
    generator = torch.Generator().manual_seed(0)
    before = generator.get_state()
    for name, kind in SAMPLERS.items():
        if not kind().stochastic:
            sample(answer(CHAIN, 0.25), CHAIN, normal(4, 2), kind(), 3, generator)
            assert torch.equal(generator.get_state(), before), name


def test_zero_terminal_snr_is_sampled_from_pure_noise_by_what_predicts_v_and_refused_for_eps():
    """diffusers gives inf with eps."""
    schedule = ZeroTerminalSNR()
    x = sample(answer(schedule, 0.25, 0.3), schedule, normal(64, 2), DDIM(), 20)
    assert bool(x.isfinite().all())

    def predicts_eps(x_t: Tensor, t: Tensor) -> Prediction:
        alpha, sigma = (c[:, None] for c in (schedule.alpha(t), schedule.sigma(t)))
        return Prediction.from_eps(x_t, x_t, alpha, sigma)

    with pytest.raises(OptionError, match="x0 does not follow from eps where alpha is 0"):
        sample(predicts_eps, schedule, normal(4, 2), DDIM(), 20)


@pytest.mark.parametrize("name", SAMPLERS)
def test_cosine_betas_give_numbers_with_every_sampler(name: str):
    """Ancestral schedulers of diffusers give NaN with them; so does fixed_large_log with any."""
    for schedule in (DiscreteBetas(cosine_betas().tolist()), Cosine()):
        num_steps = 2 if name == "adaptive" else 30
        x = sample(answer(schedule, 0.25), schedule, normal(16, 2), SAMPLERS[name](), num_steps, torch.Generator())
        assert bool(x.isfinite().all())
        assert float(x.abs().max()) < 20


def test_coefficients_are_those_of_float64_tables():
    """diffusers' float32 tables miss posterior variances by 4e-4 to 9e-4, 1 - alpha^2 at the first step by 1.7e-4."""
    step = DDIM(eta=1.0).plan(CHAIN, UniformTime().times(CHAIN, 1000), last_noise=True)[-2]
    beta = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)[:2]
    exact = beta[1] * beta[0] / (beta[0] + beta[1] - beta[0] * beta[1])
    assert step.rows[0].noise ** 2 == pytest.approx(float(exact), rel=1e-12)


def test_a_round_trip_through_the_noise_is_ten_times_nearer_than_diffusers():
    """DDIMInverseScheduler with the exact score and 50 calls: 0.0286 standard deviations on this mixture."""
    data = MixtureData.three_modes()
    x0, denoise = data.sample(1000), data.denoiser(CHAIN)
    noise = encode(denoise, CHAIN, x0, Adams(), 49)  # and one call to leave t = 0
    back = sample(denoise, CHAIN, noise, Adams(), 50)
    assert float((back - x0).square().mean().sqrt() / x0.std()) < 0.00286


@pytest.mark.parametrize("schedule", [LinearVP(), VE(), SubVP()], ids=lambda s: type(s).__name__)
def test_predictor_corrector_converges_on_every_schedule(schedule):
    """score_sde's stays 2.56% too wide however many steps, and its sub-VP with a corrector is an AttributeError."""
    errors = [
        abs(variance_of(PredictorCorrector(), schedule, UniformTime().times(schedule, n), 0.25) / 0.25 - 1)
        for n in (400, 1600)
    ]
    assert errors[1] < errors[0] / 2
    assert errors[1] < 0.0256 / 2


def test_vectors_are_sampled_as_vectors():
    """score_sde broadcasts (2, 5) to (2, 1, 2, 5) in silence."""
    data = GaussianData.correlated(5)
    for sampler in (EulerMaruyama(), PredictorCorrector(), Adams()):
        assert sample(data.denoiser(LinearVP()), LinearVP(), normal(2, 5), sampler, 5).shape == (2, 5)


def test_the_law_of_a_whole_chain_is_that_of_the_data():
    """No peer compares what is sampled with what should be."""
    data = GaussianData.correlated(6, decay=0.7)
    for sampler in (Adams(), DDIM(eta=1.0)):
        x = sample(data.denoiser(CHAIN), CHAIN, normal(20_000, 6), sampler, 100, torch.Generator().manual_seed(1))
        torch.testing.assert_close(x.T.cov(), data.covariance, rtol=0, atol=0.08)
        torch.testing.assert_close(x.mean(0), data.mean, rtol=0, atol=0.04)
    assert math.isclose(float(CHAIN.alpha(torch.zeros(()))), 1.0)
