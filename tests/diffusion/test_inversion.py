"""From data to noise and back, and between two noises."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from kexue.diffusion.exact import MixtureData, answer, marginal
from kexue.diffusion.grids import QUADRATIC, UniformAngle, UniformTime
from kexue.diffusion.interpolation import great_circle, spherical
from kexue.diffusion.inversion import encode, invert
from kexue.diffusion.prediction import Denoiser, Prediction
from kexue.diffusion.samplers import DDIM, SAMPLERS, Adams, Adaptive, Euler, Heun
from kexue.diffusion.sampling import Progress, sample
from kexue.diffusion.schedules import SCHEDULES, LinearVP
from kexue.errors import OptionError

LINEAR = LinearVP()
MIXTURE = MixtureData.three_modes()
DETERMINISTIC = [name for name in SAMPLERS if not SAMPLERS[name]().stochastic]


class Counting:
    """A denoiser that knows how often it was asked."""

    def __init__(self, denoise: Denoiser) -> None:
        self.denoise, self.calls = denoise, 0

    def __call__(self, x: Tensor, t: Tensor) -> Prediction:
        self.calls += 1
        return self.denoise(x, t)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("name", DETERMINISTIC)
def test_every_deterministic_sampler_encodes_near_the_exact_noise_under_every_schedule(name: str, schedule: str):
    chosen, variance, mean = SCHEDULES[schedule](), 0.25, 0.3
    x0 = mean + math.sqrt(variance) * torch.linspace(-2, 2, 9, dtype=torch.float64)[:, None]
    alpha = float(chosen.alpha(torch.ones((), dtype=torch.float64)))
    exact = alpha * mean + math.sqrt(marginal(chosen, 1.0, variance) / variance) * (x0 - mean)
    num_steps = 1 if name == "adaptive" else 2000 if name == "euler" and schedule in ("ve", "edm") else 60
    ours = encode(answer(chosen, variance, mean), chosen, x0, SAMPLERS[name](), num_steps) * chosen.prior_std
    assert float((ours - exact).abs().max()) < 0.12 * chosen.prior_std


def test_the_way_out_of_t_0_is_right_to_the_fourth_order():
    variance = 0.25
    x0 = torch.linspace(-1, 1, 5, dtype=torch.float64)[:, None]
    sampler = Adaptive(rtol=1e-9, atol=1e-9)
    ours = encode(answer(LINEAR, variance), LINEAR, x0, sampler, 1) * LINEAR.prior_std
    exact = x0 * math.sqrt(marginal(LINEAR, 1.0, variance) / variance)
    torch.testing.assert_close(ours, exact, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", DETERMINISTIC)
def test_a_round_trip_comes_back(name: str):
    x0, num_steps = MIXTURE.sample(500), 2 if name == "adaptive" else 200
    sampler, denoise = SAMPLERS[name](), MIXTURE.denoiser(LINEAR)
    back = sample(denoise, LINEAR, encode(denoise, LINEAR, x0, sampler, num_steps), sampler, num_steps)
    tolerance = {1: 0.06, 2: 0.02, 3: 0.01, 5: 0.01}[sampler.order]
    assert float((back - x0).square().mean().sqrt()) < tolerance


@pytest.mark.parametrize("sampler", [DDIM(), Euler()], ids=str)
@pytest.mark.parametrize("schedule", ["linear_vp", "cosine", "zero_terminal_snr", "ve"])
def test_enough_iterations_undo_a_sampler_to_the_last_digits(sampler: DDIM | Euler, schedule: str):
    chosen = SCHEDULES[schedule]()
    x0, denoise = torch.linspace(-2, 2, 9, dtype=torch.float64)[:, None], answer(chosen, 0.25)
    noise = invert(denoise, chosen, x0, sampler, 20, iterations=8, grid=QUADRATIC)
    torch.testing.assert_close(sample(denoise, chosen, noise, sampler, 20, grid=QUADRATIC), x0, rtol=0, atol=1e-9)


def test_each_iteration_brings_the_round_trip_closer():
    x0, denoise, errors = MIXTURE.sample(500), MIXTURE.denoiser(LINEAR), []
    for iterations in (1, 2, 4):
        counted = Counting(denoise)
        noise = invert(counted, LINEAR, x0, DDIM(), 20, iterations=iterations)
        assert counted.calls == 20 * iterations
        errors.append(float((sample(denoise, LINEAR, noise, DDIM(), 20) - x0).abs().quantile(0.9)))
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < errors[0] / 100


def test_encoding_costs_one_call_more_than_sampling():
    counted = Counting(MIXTURE.denoiser(LINEAR))
    encode(counted, LINEAR, MIXTURE.sample(3), Adams(), 50)
    assert counted.calls == 51


def test_encoding_from_a_time_with_noise_starts_there():
    grid, seen = UniformTime(end=0.2), []
    encode(MIXTURE.denoiser(LINEAR), LINEAR, MIXTURE.sample(3), DDIM(), 4, grid=grid, callback=seen.append)
    assert [p.t for p in seen] == pytest.approx([0.4, 0.6, 0.8, 1.0])
    assert all(isinstance(p, Progress) for p in seen)


def test_one_step_encodes_and_decodes():
    x0, denoise = MIXTURE.sample(20), MIXTURE.denoiser(LINEAR)
    assert bool(encode(denoise, LINEAR, x0, DDIM(), 1).isfinite().all())
    assert bool(encode(denoise, LINEAR, x0.float(), Heun(), 1).isfinite().all())
    assert bool(invert(denoise, LINEAR, x0, DDIM(), 1).isfinite().all())


def test_encoded_data_look_like_noise():
    noise = encode(MIXTURE.denoiser(LINEAR), LINEAR, MIXTURE.sample(20_000), Adams(), 50)
    assert float(noise.mean()) == pytest.approx(0, abs=0.03)
    assert float(noise.var()) == pytest.approx(1, abs=0.03)
    assert float(noise.pow(4).mean()) == pytest.approx(3, abs=0.15)


@pytest.mark.parametrize("name", [name for name in SAMPLERS if SAMPLERS[name]().stochastic])
def test_a_stochastic_sampler_is_refused(name: str):
    for turn in (encode, invert):
        with pytest.raises(OptionError, match="take a deterministic sampler"):
            turn(MIXTURE.denoiser(LINEAR), LINEAR, MIXTURE.sample(2), SAMPLERS[name](), 3)


def test_steps_that_cannot_be_undone_alone_are_refused():
    for sampler in (Heun(), Adams(), Adaptive()):
        with pytest.raises(OptionError, match="undone by itself"):
            invert(MIXTURE.denoiser(LINEAR), LINEAR, MIXTURE.sample(2), sampler, 3)
    with pytest.raises(OptionError, match="at least 1"):
        invert(MIXTURE.denoiser(LINEAR), LINEAR, MIXTURE.sample(2), DDIM(), 3, iterations=0)


@pytest.mark.parametrize("shape", [(), (7,), (3, 8, 8)])
def test_a_spherical_path_has_unit_variance_all_the_way(shape: tuple[int, ...]):
    generator = torch.Generator().manual_seed(0)
    first, second = torch.randn(2, 4000, *shape, dtype=torch.float64, generator=generator)
    path = spherical(first, second, torch.linspace(0, 1, 5))
    assert path.shape == (5, 4000, *shape)
    torch.testing.assert_close(path[0], first)
    torch.testing.assert_close(path[-1], second)
    assert float((path.flatten(1).var(1) - 1).abs().max()) < 0.1
    line = (first + second) / 2
    assert float(line.var()) == pytest.approx(0.5, abs=0.05)


def test_a_great_circle_turns_evenly_and_keeps_lengths():
    generator = torch.Generator().manual_seed(0)
    first = torch.randn(500, dtype=torch.float64, generator=generator)
    second = 0.8 * first + 0.6 * torch.randn(500, dtype=torch.float64, generator=generator)  # not independent
    path = great_circle(first, second, torch.linspace(0, 1, 6, dtype=torch.float64))
    torch.testing.assert_close(path[0], first)
    torch.testing.assert_close(path[-1], second)
    unit = path / path.norm(dim=1, keepdim=True)
    angles = (unit[1:] * unit[:-1]).sum(1).arccos()
    torch.testing.assert_close(angles, angles.mean().expand(5))
    torch.testing.assert_close(path.norm(dim=1).diff(), path.norm(dim=1).diff().mean().expand(5))


def test_a_great_circle_between_equal_and_opposite_noises():
    z = torch.randn(2, 3, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(great_circle(z, z, torch.tensor([0.3]))[0], z)
    for noise in (z, z.double()):
        with pytest.raises(OptionError, match="opposite"):
            great_circle(noise, -noise, torch.tensor([0.5]))


@pytest.mark.parametrize("between", [spherical, great_circle])
def test_noises_of_two_shapes_are_refused(between):
    with pytest.raises(OptionError, match="one shape"):
        between(torch.zeros(2, 3), torch.zeros(3, 2), torch.tensor([0.5]))


def test_noise_decodes_to_itself_after_interpolation_at_the_ends():
    denoise, grid = MIXTURE.denoiser(LINEAR), UniformAngle()
    first, second = (torch.randn(6, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(s)) for s in (0, 1))
    path = spherical(first, second, torch.tensor([0.0, 1.0]))
    decoded = sample(denoise, LINEAR, path.flatten(0, 1), Adams(), 10, grid=grid).unflatten(0, (2, 6))
    torch.testing.assert_close(decoded[0], sample(denoise, LINEAR, first, Adams(), 10, grid=grid))
    torch.testing.assert_close(decoded[1], sample(denoise, LINEAR, second, Adams(), 10, grid=grid))
