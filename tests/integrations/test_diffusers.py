"""Our samplers in diffusers' pipelines: the pictures are those of our own loop, whatever the sampler."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from kexue.diffusion.configuration import part_to_json
from kexue.diffusion.denoisers import UNet
from kexue.diffusion.denoising import NetworkDenoiser
from kexue.diffusion.grids import GRIDS, Leading, Trailing
from kexue.diffusion.samplers import DDIM, SAMPLERS, Adaptive, AnalyticDPM, Heun, PredictorCorrector, Sampler
from kexue.diffusion.sampling import sample
from kexue.errors import OptionError

diffusers = pytest.importorskip("diffusers")
from kexue.integrations.diffusers import SamplerScheduler  # noqa: E402

PLANNED = [name for name, sampler in SAMPLERS.items() if sampler is not Adaptive]


@pytest.fixture(scope="module")
def unet() -> UNet:
    torch.manual_seed(0)
    return UNet.preset("tiny", (1, 8, 8)).eval()


def make(name: str) -> Sampler:
    return SAMPLERS[name]()


def pipeline_pictures(unet: UNet, scheduler: SamplerScheduler, num_steps: int, seed: int = 0) -> Tensor:
    pipeline = diffusers.DDPMPipeline(unet.unet, diffusers.DDPMScheduler())
    pipeline.scheduler = scheduler
    pipeline.set_progress_bar_config(disable=True)
    generator = torch.Generator().manual_seed(seed)
    pictures = pipeline(2, generator, num_inference_steps=num_steps, output_type="pt", return_dict=False)[0]
    return pictures * 2 - 1


def our_pictures(unet: UNet, scheduler: SamplerScheduler, num_steps: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(2, 1, 8, 8, generator=generator)
    denoise = NetworkDenoiser(unet, scheduler.schedule, scheduler.parameterization)
    start = noise / scheduler.schedule.prior_std  # a pipeline begins with unit noise
    pictures = sample(denoise, scheduler.schedule, start, scheduler.sampler, num_steps, generator, grid=scheduler.grid)
    return pictures.clamp(-1, 1)


@pytest.mark.parametrize("prediction_type", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("name", PLANNED)
def test_a_pipeline_with_our_sampler_makes_the_pictures_of_our_loop(unet: UNet, name: str, prediction_type: str):
    theirs = diffusers.DDPMScheduler(prediction_type=prediction_type)
    scheduler = SamplerScheduler.like(theirs, make(name))
    found, expected = pipeline_pictures(unet, scheduler, 6), our_pictures(unet, scheduler, 6)
    assert expected.abs().min() < 1
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize(("sampler", "calls"), [(DDIM(), 5), (Heun(), 9), (PredictorCorrector(num_corrections=2), 13)])
def test_timesteps_are_those_at_which_the_network_is_asked(sampler: Sampler, calls: int):
    scheduler = SamplerScheduler(part_to_json(sampler))
    scheduler.set_timesteps(5)
    assert len(scheduler.timesteps) == calls
    asked: list[float] = []

    def denoise(x: Tensor, t: Tensor) -> object:
        asked.append(float(t[0]) * 1000 - 1)
        return NetworkDenoiser(lambda x, t: x * 0, scheduler.schedule)(x, t)

    sample(denoise, scheduler.schedule, torch.zeros(1, 1), sampler, 5)
    torch.testing.assert_close(scheduler.timesteps.double(), torch.tensor(asked).double(), atol=1e-3, rtol=0)


@pytest.mark.parametrize("grid", [Leading(), Trailing()])
def test_trained_times_are_whole_timesteps(grid: object):
    scheduler = SamplerScheduler.like(diffusers.DDIMScheduler(), DDIM(), grid)
    scheduler.set_timesteps(10)
    theirs = diffusers.DDIMScheduler(timestep_spacing=type(grid).__name__.lower())
    theirs.set_timesteps(10)
    assert scheduler.timesteps.dtype == torch.int64
    assert torch.equal(scheduler.timesteps, theirs.timesteps)


def test_a_scheduler_survives_its_own_folder(tmp_path: Path, unet: UNet):
    scheduler = SamplerScheduler.like(
        diffusers.DDPMScheduler(beta_schedule="squaredcos_cap_v2"), AnalyticDPM(eta=0.5), GRIDS["trailing"]()
    )
    scheduler.save_pretrained(tmp_path)
    again = SamplerScheduler.from_pretrained(tmp_path)
    assert (again.sampler, again.grid, again.schedule) == (scheduler.sampler, scheduler.grid, scheduler.schedule)
    torch.testing.assert_close(pipeline_pictures(unet, again, 4), pipeline_pictures(unet, scheduler, 4))


def test_a_walk_may_begin_in_the_middle_as_image_to_image_does():
    scheduler = SamplerScheduler(part_to_json(DDIM()), part_to_json(Trailing()))
    scheduler.set_timesteps(10)
    x0, eps = torch.randn(2, 3), torch.randn(2, 3)
    x = scheduler.add_noise(x0, eps, scheduler.timesteps[6:7].expand(2))
    for timestep in scheduler.timesteps[6:]:
        x = scheduler.step(eps, timestep, x, eta=0.3).prev_sample
    torch.testing.assert_close(x, x0, atol=1e-5, rtol=1e-5)


def test_what_a_pipeline_changes_between_steps_is_kept():
    scheduler = SamplerScheduler(part_to_json(DDIM()))
    scheduler.set_timesteps(3)
    x = torch.ones(1, 2)
    for timestep in scheduler.timesteps:
        (x,) = scheduler.step(torch.zeros(1, 2), timestep, x * 0 + 1, return_dict=False)
    last = scheduler.schedule.alpha((scheduler.timesteps[-1].double() + 1) / 1000)
    torch.testing.assert_close(x.double(), (1 / last).expand(1, 2), atol=1e-6, rtol=1e-6)


def test_noise_is_added_as_diffusers_adds_it_but_exactly():
    scheduler, theirs = SamplerScheduler(), diffusers.DDPMScheduler()
    x0, eps, timesteps = torch.randn(3, 4), torch.randn(3, 4), torch.tensor([0, 500, 999])
    expected = theirs.add_noise(x0, eps, timesteps)
    torch.testing.assert_close(scheduler.add_noise(x0, eps, timesteps), expected, atol=1e-5, rtol=1e-4)
    assert scheduler.scale_model_input(x0, 3) is x0
    assert len(scheduler) == 1000


def test_misuse_is_refused_with_the_remedy():
    with pytest.raises(OptionError, match="adaptive sampler cannot be a scheduler"):
        SamplerScheduler.like(diffusers.DDPMScheduler(), Adaptive())
    scheduler = SamplerScheduler()
    with pytest.raises(OptionError, match="set_timesteps has to be called"):
        scheduler.step(torch.zeros(1, 2), 999, torch.zeros(1, 2))
    scheduler.set_timesteps(2)
    with pytest.raises(OptionError, match="timestep 123 begins no step"):
        scheduler.step(torch.zeros(1, 2), 123, torch.zeros(1, 2))


def test_half_precision_samples_stay_half_but_are_stepped_in_float32():
    scheduler = SamplerScheduler()
    scheduler.set_timesteps(4)
    out = scheduler.step(torch.ones(1, 2).half(), scheduler.timesteps[0], torch.ones(1, 2).half()).prev_sample
    assert out.dtype == torch.float16
    assert np.isfinite(out.numpy()).all()
