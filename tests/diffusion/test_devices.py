"""On a GPU the same numbers come out as on the processor, and no step waits for what the GPU is at."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor, nn

from kexue.diffusion.bound import variational_bound
from kexue.diffusion.denoisers import GAUDenoiser
from kexue.diffusion.denoising import NetworkDenoiser
from kexue.diffusion.editing import image_to_image, inpaint
from kexue.diffusion.exact import answer
from kexue.diffusion.inversion import encode, invert
from kexue.diffusion.likelihood import log_likelihood
from kexue.diffusion.metrics import Moments, frechet_distance, kernel_distance, precision_recall
from kexue.diffusion.prediction import PARAMETERIZATIONS, V
from kexue.diffusion.randomness import seeded, standard_normal
from kexue.diffusion.samplers import DDIM, SAMPLERS, Adaptive, Heun, measure_uncertainty
from kexue.diffusion.sampling import follow, sample, walk
from kexue.diffusion.schedules import SCHEDULES, DiscreteBetas, LinearVP
from kexue.diffusion.trace import Hutchinson
from tests.training.generation.tiny import SIZES
from tests.waits import Waits

LINEAR = LinearVP()
DENOISE = answer(LINEAR, 0.25, mean=0.3)
AHEAD = sorted(name for name, kind in SAMPLERS.items() if kind is not Adaptive)
"""The samplers whose steps are known before the first one."""


def noise(num: int = 3) -> Tensor:
    return standard_normal((num, 1, 8, 8), seeded(range(num)), dtype=torch.float64)


def network() -> GAUDenoiser:
    torch.manual_seed(0)
    made = GAUDenoiser(SIZES)
    for parameter in made.parameters():
        nn.init.normal_(parameter, std=0.2)
    return made.eval()


@contextmanager
def no_waiting() -> Iterator[None]:
    """Whatever makes the host wait for the device is an error."""
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_sampler_draws_the_same_images_on_every_device(name: str, device: str):
    sampler = SAMPLERS[name]()
    here = sample(DENOISE, LINEAR, noise(), sampler, 6, seeded(range(3)))
    there = sample(DENOISE, LINEAR, noise().to(device), sampler, 6, seeded(range(3)))
    assert there.device.type == device
    torch.testing.assert_close(there.cpu(), here, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_has_the_same_levels_on_every_device(name: str, device: str):
    schedule, t = SCHEDULES[name](), torch.linspace(1e-3, 1 - 1e-3, 50, dtype=torch.float64)
    for here, there in (
        (schedule.alpha(t), schedule.alpha(t.to(device))),
        (schedule.sigma(t), schedule.sigma(t.to(device))),
        (schedule.drift(t), schedule.drift(t.to(device))),
        (schedule.diffusion(t), schedule.diffusion(t.to(device))),
    ):
        assert there.device.type == device
        torch.testing.assert_close(there.cpu(), here, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", PARAMETERIZATIONS)
def test_a_network_is_sampled_to_the_same_images_on_every_device(name: str, device: str):
    parameterization = PARAMETERIZATIONS[name]()
    drawn = []
    for place in ("cpu", device):
        denoise = NetworkDenoiser(network().double().to(place), DiscreteBetas(), parameterization)
        drawn.append(sample(denoise, DiscreteBetas(), noise().to(place), DDIM(eta=0.5), 5, seeded(range(3))).cpu())
    torch.testing.assert_close(*drawn, rtol=1e-4, atol=1e-4)


def test_editing_and_encoding_give_the_same_on_every_device(device: str):
    image, mask = 0.3 * noise(), torch.arange(8) < 4

    def results(place: str) -> list[Tensor]:
        x, start = image.to(place), noise().to(place)
        return [
            encode(DENOISE, LINEAR, x, Heun(), 5),
            invert(DENOISE, LINEAR, x, DDIM(), 5),
            image_to_image(DENOISE, LINEAR, x, start, DDIM(eta=1.0), 5, seeded(range(3))),
            inpaint(DENOISE, LINEAR, x, mask.to(place), start, DDIM(eta=1.0), 5, seeded(range(3)), repeats=2),
        ]

    for here, there in zip(results("cpu"), results(device), strict=True):
        assert there.device.type == device
        torch.testing.assert_close(there.cpu(), here, rtol=1e-9, atol=1e-9)


def test_likelihood_and_bound_are_the_same_on_every_device(device: str):
    def results(place: str) -> tuple[Tensor, Tensor]:
        x, chance = noise().to(place), torch.Generator().manual_seed(0)
        likelihood = log_likelihood(DENOISE, LINEAR, x, trace=Hutchinson(4), generator=chance)
        return likelihood.bits_per_dim.cpu(), variational_bound(DENOISE, LINEAR, x, 20, generator=chance).total.cpu()

    for here, there in zip(results("cpu"), results(device), strict=True):
        torch.testing.assert_close(there, here, rtol=1e-6, atol=1e-6)


def test_the_uncertainty_of_a_network_is_measured_on_every_device(device: str):
    times = torch.linspace(0.1, 1, 5, dtype=torch.float64)
    here = measure_uncertainty(DENOISE, LINEAR, noise(), times, torch.Generator().manual_seed(0))
    there = measure_uncertainty(DENOISE, LINEAR, noise().to(device), times, torch.Generator().manual_seed(0))
    assert there.log_variance == pytest.approx(here.log_variance)


METRICS: dict[str, Callable[[Tensor, Tensor], tuple[float, ...]]] = {
    "frechet": lambda generated, real: (frechet_distance(Moments.of(generated), Moments.of(real)),),
    "kernel": kernel_distance,
    "precision and recall": precision_recall,
}


@pytest.mark.parametrize("metric", METRICS)
def test_a_metric_of_images_is_the_same_on_every_device(metric: str, device: str):
    generated, real = (torch.randn(40, 6, generator=torch.Generator().manual_seed(seed)).double() for seed in (0, 1))
    there = METRICS[metric](generated.to(device), real.to(device))
    assert tuple(there) == pytest.approx(tuple(METRICS[metric](generated, real)))


@pytest.mark.parametrize("parameterization", PARAMETERIZATIONS)
@pytest.mark.parametrize("name", AHEAD)
@torch.no_grad()
def test_no_step_asks_what_a_tensor_holds_whatever_the_network_predicts(name: str, parameterization: str):
    sampler = SAMPLERS[name]()
    denoise = NetworkDenoiser(lambda x, t: 0.1 * x, LINEAR, PARAMETERIZATIONS[parameterization]())
    steps = sampler.plan(LINEAR, torch.linspace(1, 0.01, 5, dtype=torch.float64))
    with Waits() as waits:
        last = follow(walk(denoise, sampler, steps, noise(), seeded(range(3))), steps, None)
    assert waits.count == 0 and last.isfinite().all()


@pytest.mark.gpu
@pytest.mark.parametrize("name", AHEAD)
def test_no_step_of_a_sampler_waits_for_the_device(cuda: str, name: str):
    made = network().to(cuda)
    denoise = NetworkDenoiser(made, LINEAR, V())
    start = noise().float().to(cuda)
    chance = torch.Generator(cuda).manual_seed(0)
    sample(denoise, LINEAR, start, SAMPLERS[name](), 2, chance)  # whatever is made once
    with no_waiting():
        sample(denoise, LINEAR, start, SAMPLERS[name](), 4, chance)
