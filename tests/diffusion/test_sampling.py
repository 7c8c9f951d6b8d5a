"""The loop: noise per image, batches of any size, previews, progress, precision, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from kexue.diffusion.denoising import ArticleDenoiser, Clip, Guided, NetworkDenoiser, Thresholded
from kexue.diffusion.editing import Known, image_to_image, inpaint
from kexue.diffusion.exact import answer, f64
from kexue.diffusion.grids import UNIFORM, Given, UniformTime
from kexue.diffusion.inversion import encode, invert
from kexue.diffusion.prediction import PARAMETERIZATIONS, Denoiser, Prediction, V
from kexue.diffusion.randomness import seeded, standard_normal
from kexue.diffusion.samplers import DDIM, SAMPLERS, Adams, Adaptive, EulerMaruyama, Heun, PredictorCorrector, Sampler
from kexue.diffusion.sampling import Progress, sample, suited_grid, walk
from kexue.diffusion.schedules import SCHEDULES, VE, LinearVP
from kexue.errors import OptionError

LINEAR = LinearVP()
DENOISE = answer(LINEAR, 0.25, mean=0.3)


def normal(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(5))


@pytest.mark.parametrize("name", SAMPLERS)
def test_an_image_does_not_depend_on_those_sampled_beside_it(name: str):
    sampler, seeds = SAMPLERS[name](), [3, 1, 4, 1, 5]
    noise = standard_normal((5, 2, 4, 4), seeded(seeds))
    whole = sample(DENOISE, LINEAR, noise, sampler, 5, seeded(seeds))
    for size in (1, 2, 3, 64):
        assert torch.equal(sample(DENOISE, LINEAR, noise, sampler, 5, seeded(seeds), batch_size=size), whole)
    alone = sample(DENOISE, LINEAR, noise[2:3], sampler, 5, seeded(seeds[2:3]))
    assert torch.equal(alone[0], whole[2])
    assert torch.equal(whole[1], whole[3])  # of one seed


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_seed_gives_the_same_images_again(name: str):
    def images(seed: int) -> Tensor:
        return sample(DENOISE, LINEAR, normal(4, 3), SAMPLERS[name](), 6, torch.Generator().manual_seed(seed))

    assert torch.equal(images(0), images(0))
    assert torch.equal(images(0), images(1)) == (not SAMPLERS[name]().stochastic)


@given(shape=st.lists(st.integers(1, 4), min_size=2, max_size=5), name=st.sampled_from(sorted(SAMPLERS)))
@settings(deadline=None, max_examples=40)
def test_data_of_any_shape_take_the_same_path(shape: list[int], name: str):
    noise = standard_normal(shape, torch.Generator().manual_seed(0), dtype=torch.float64)
    ours = sample(DENOISE, LINEAR, noise, SAMPLERS[name](), 3, torch.Generator().manual_seed(0))
    assert ours.shape == noise.shape
    flat = sample(DENOISE, LINEAR, noise.flatten(1), SAMPLERS[name](), 3, torch.Generator().manual_seed(0))
    torch.testing.assert_close(ours.flatten(1), flat)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", SAMPLERS)
def test_half_precision_is_what_the_network_sees_and_not_what_the_walk_keeps(name: str, dtype: torch.dtype):
    seen = set()

    def denoise(x: Tensor, t: Tensor) -> Prediction:
        seen.add((x.dtype, t.dtype))
        said = DENOISE(x.float(), t)
        return Prediction(said.value.to(dtype), x, said.levels, said.parameterization)

    noise, num_steps = normal(64, 8).to(dtype), 2 if name == "adaptive" else 100
    sampler = Adaptive(rtol=0.05, atol=0.05) if name == "adaptive" else SAMPLERS[name]()
    half = sample(denoise, LINEAR, noise, sampler, num_steps, torch.Generator().manual_seed(0))
    full = sample(DENOISE, LINEAR, noise.float(), sampler, num_steps, torch.Generator().manual_seed(0))
    assert half.dtype == dtype
    assert {x for x, _ in seen} == {dtype}
    assert {t for _, t in seen} <= {torch.float32}
    assert float((half.float() - full).square().mean().sqrt()) < (0.004 if dtype == torch.float16 else 0.03)


def test_float32_is_as_good_as_float64_to_its_last_digits():
    for name, schedule in SCHEDULES.items():
        chosen = schedule()
        denoise = answer(chosen, 0.25)
        ours, exact = (
            sample(denoise, chosen, normal(32, 4).to(dtype), Adams(), 50) for dtype in (torch.float32, torch.float64)
        )
        torch.testing.assert_close(ours.double(), exact, rtol=1e-4, atol=2e-5, msg=name)


def test_a_callback_sees_every_step_and_the_picture_as_far_as_it_is_known():
    seen: list[Progress] = []
    noise = normal(8, 2, dtype=torch.float64)
    x = sample(DENOISE, LINEAR, noise, DDIM(), 10, callback=seen.append)
    assert [p.index for p in seen] == list(range(10))
    assert {p.num_steps for p in seen} == {10}
    assert [p.t for p in seen] == sorted((p.t for p in seen), reverse=True)
    assert torch.equal(seen[-1].x, x)
    distances = [float((p.preview - x).abs().mean()) for p in seen]
    assert distances == sorted(distances, reverse=True)
    torch.testing.assert_close(seen[-1].preview, x)


@pytest.mark.parametrize("name", SAMPLERS)
def test_every_sampler_has_a_preview(name: str):
    seen: list[Progress] = []
    sample(DENOISE, LINEAR, normal(2, 3), SAMPLERS[name](), 4, torch.Generator(), callback=seen.append)
    assert all(p.preview.shape == (2, 3) for p in seen)


def test_a_bar_passes_the_steps_on_once_per_batch():
    shown = []

    def bar(steps):
        for step in steps:
            shown.append((step.t, step.s))
            yield step

    x = sample(DENOISE, LINEAR, normal(5, 2), DDIM(), 3, progress=bar, batch_size=2)
    assert len(shown) == 3 * 3
    assert shown[0][0] == 1
    assert shown[-1][1] == 0
    assert torch.equal(x, sample(DENOISE, LINEAR, normal(5, 2), DDIM(), 3))


def test_a_walk_can_be_left_early():
    calls = []

    def denoise(x: Tensor, t: Tensor) -> Prediction:
        calls.append(float(t[0]))
        return DENOISE(x, t)

    steps = DDIM().plan(LINEAR, UniformTime().times(LINEAR, 10))
    walking = walk(denoise, DDIM(), steps, normal(2, 3))
    states = [next(walking) for _ in range(3)]
    assert states[-1].x.shape == (2, 3)
    assert calls == pytest.approx([1.0, 0.9, 0.8])


def test_no_gradients_are_kept_while_sampling():
    weight = torch.ones((), requires_grad=True)

    def denoise(x: Tensor, t: Tensor) -> Prediction:
        return Prediction.from_eps(weight * x, x, 0.8, 0.6)

    assert not sample(denoise, LINEAR, normal(2, 3), DDIM(), 3).requires_grad


@pytest.mark.parametrize(
    ("sampler", "calls_per_step"),
    [(DDIM(), 1), (EulerMaruyama(), 1), (Adams(), 1), (Heun(), 2), (PredictorCorrector(num_corrections=2), 3)],
    ids=str,
)
def test_a_network_is_called_as_often_as_declared_and_never_where_there_is_no_noise(
    sampler: Sampler, calls_per_step: int
):
    times = []

    def denoise(x: Tensor, t: Tensor) -> Prediction:
        times.extend(t.unique().tolist())
        return DENOISE(x, t)

    sample(denoise, LINEAR, normal(2, 3), sampler, 10)
    assert len(times) == 10 * calls_per_step - (calls_per_step - 1)  # a step to t = 0 has nothing to correct
    assert min(times) > 0


def test_the_prior_of_the_schedule_scales_the_noise():
    schedule = VE()
    seen: list[Tensor] = []

    def denoise(x: Tensor, t: Tensor) -> Prediction:
        seen.append(x)
        return answer(schedule, 0.25)(x, t)

    sample(denoise, schedule, normal(4, 2), DDIM(), 2)
    torch.testing.assert_close(seen[0], normal(4, 2) * schedule.prior_std)


def test_noise_given_is_not_changed():
    noise = normal(4, 2)
    sample(DENOISE, LINEAR, noise, EulerMaruyama(), 4)
    assert torch.equal(noise, normal(4, 2))


@pytest.mark.parametrize("noise", [torch.zeros(3), torch.zeros(0, 3), torch.zeros(2, 3, dtype=torch.long)])
def test_what_is_no_batch_of_floats_is_refused(noise: Tensor):
    with pytest.raises(OptionError, match="noise has to be floats"):
        sample(DENOISE, LINEAR, noise, DDIM(), 3)


def test_a_wrong_number_of_generators_is_refused():
    with pytest.raises(OptionError, match="got 2 for 3 images"):
        sample(DENOISE, LINEAR, normal(3, 2), EulerMaruyama(), 3, seeded([0, 1]))
    with pytest.raises(OptionError, match="got 2 for 3 images"):
        standard_normal((3, 2), seeded([0, 1]))


def test_a_batch_size_of_nothing_is_refused():
    with pytest.raises(OptionError, match="batch_size"):
        sample(DENOISE, LINEAR, normal(3, 2), DDIM(), 3, batch_size=-1)


def test_times_of_ones_own_can_be_sampled_along():
    ours = sample(DENOISE, LINEAR, normal(3, 2), DDIM(), 2, grid=Given([1.0, 0.37, 0.0]))
    steps = DDIM().plan(LINEAR, f64([1.0, 0.37, 0.0]))
    (*_, last) = walk(DENOISE, DDIM(), steps, LINEAR.prior_std * normal(3, 2))
    assert torch.equal(ours, last.x)


def test_noise_per_image_is_normal_and_independent():
    noise = standard_normal((200, 50), seeded(range(200)), dtype=torch.float64)
    assert float(noise.mean()) == pytest.approx(0, abs=0.04)
    assert float(noise.std()) == pytest.approx(1, abs=0.03)
    assert float(torch.corrcoef(noise).triu(1).abs().max()) < 0.75


# --- what a denoiser announces ---

WALKS = {
    "sample": lambda denoise, x, **grid: sample(denoise, LINEAR, x, DDIM(), 4, **grid),
    "encode": lambda denoise, x, **grid: encode(denoise, LINEAR, x, DDIM(), 4, **grid),
    "invert": lambda denoise, x, **grid: invert(denoise, LINEAR, x, DDIM(), 4, **grid),
    "image to image": lambda denoise, x, **grid: image_to_image(denoise, LINEAR, x, x, DDIM(), 4, **grid),
    "inpaint": lambda denoise, x, **grid: inpaint(denoise, LINEAR, x, MASK, x, DDIM(), 4, **grid),
}
MASK = torch.tensor([True, False, False])
WRAPPERS: dict[str, Callable[[Denoiser], Denoiser]] = {
    "alone": lambda denoise: denoise,
    "guided": lambda denoise: Guided(denoise, denoise, 2.0),
    "limited": lambda denoise: Thresholded(denoise, Clip(-1e6, 1e6)),
    "told": lambda denoise: Known(denoise, torch.zeros(3), MASK),
}


@pytest.mark.parametrize("wrapper", WRAPPERS.values(), ids=WRAPPERS)
@pytest.mark.parametrize("walked", WALKS.values(), ids=WALKS)
@pytest.mark.parametrize("name", PARAMETERIZATIONS)
def test_a_network_that_says_noise_is_walked_in_equal_times_by_every_verb(name: str, walked: Any, wrapper: Any):
    denoise = wrapper(NetworkDenoiser(lambda x, t: torch.tanh(x) * t[:, None], LINEAR, PARAMETERIZATIONS[name]()))
    x = normal(5, 3)
    grid = UNIFORM if name in ("eps", "score") else DDIM.grid
    assert torch.equal(walked(denoise, x), walked(denoise, x, grid=grid))
    assert not torch.equal(walked(denoise, x, grid=UNIFORM), walked(denoise, x, grid=DDIM.grid))


def test_a_denoiser_that_announces_nothing_is_walked_by_the_samplers_own_grid():
    assert suited_grid(DENOISE, DDIM()) == DDIM.grid
    assert suited_grid(ArticleDenoiser(lambda x, t: x, LINEAR), DDIM()) == UNIFORM


@dataclass(frozen=True)
class Asked(LinearVP):
    """Counts how often it is asked."""

    times: ClassVar[list[int]] = []

    def log_alpha(self, t: Tensor) -> Tensor:
        self.times.append(t.numel())
        return super().log_alpha(t)


@pytest.mark.parametrize("name", sorted(SAMPLERS.keys() - {"adaptive"}))
def test_no_step_asks_for_levels_that_its_row_has(name: str):
    schedule = Asked()
    denoise = NetworkDenoiser(lambda x, t: x, schedule, V())
    counts = []
    for num_steps in (4, 12):
        Asked.times.clear()
        sample(denoise, schedule, normal(2, 3), SAMPLERS[name](), num_steps, torch.Generator().manual_seed(0))
        counts.append(len(Asked.times))
    assert counts[0] == counts[1]
