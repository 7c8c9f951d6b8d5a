"""Image to image and inpainting, on data whose conditional laws are known."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from kexue.diffusion.editing import Known, image_to_image, inpaint
from kexue.diffusion.exact import GaussianData, answer, marginal
from kexue.diffusion.grids import Trailing, UniformTime
from kexue.diffusion.prediction import Prediction
from kexue.diffusion.samplers import DDIM, SAMPLERS, Adams
from kexue.diffusion.sampling import sample
from kexue.diffusion.schedules import LinearVP
from kexue.errors import OptionError

LINEAR = LinearVP()
SHARE = 0.8  # the correlation of two pixels
PAIR = GaussianData(
    torch.zeros(2, dtype=torch.float64),
    torch.tensor([1 + SHARE, 1 - SHARE], dtype=torch.float64),
    torch.tensor([[1.0, 1.0], [1.0, -1.0]], dtype=torch.float64) / math.sqrt(2),
)
LEFT = torch.tensor([True, False])


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", SAMPLERS)
def test_what_is_known_stays_and_the_rest_is_painted_by_every_sampler(name: str):
    known, num_steps = normal(4, 2, seed=1), 1 if name == "adaptive" else 10
    painted = inpaint(
        PAIR.denoiser(LINEAR), LINEAR, known, LEFT, normal(4, 2), SAMPLERS[name](), num_steps, torch.Generator()
    )
    assert torch.equal(painted[:, 0], known[:, 0])
    assert bool(painted.isfinite().all())
    assert bool((painted[:, 1] != known[:, 1]).all())


def test_repeating_steps_brings_the_painted_part_to_its_conditional_law():
    known = torch.full((3000, 2), 1.5, dtype=torch.float64)
    errors = []
    for repeats in (1, 4, 16):
        painted = inpaint(
            PAIR.denoiser(LINEAR),
            LINEAR,
            known,
            LEFT,
            normal(3000, 2),
            DDIM(eta=1.0),
            40,
            torch.Generator().manual_seed(0),
            repeats=repeats,
            grid=UniformTime(),
        )[:, 1]
        errors.append(abs(float(painted.mean()) - SHARE * 1.5))
        variance = float(painted.var())
    assert errors[0] > 0.1
    assert errors[2] < errors[1] < errors[0]
    assert errors[2] < 0.08
    assert variance == pytest.approx(1 - SHARE**2, rel=0.4)  # eta = 1 alone loses a fifth in 40 steps


def test_a_mask_may_differ_from_image_to_image_and_the_last_x0_is_exact():
    mask = torch.tensor([[True, False], [False, True], [True, True], [False, False]])
    known = normal(4, 2, seed=3)
    painted = inpaint(PAIR.denoiser(LINEAR), LINEAR, known, mask, normal(4, 2), Adams(), 10)
    assert torch.equal(painted[mask], known[mask])


def test_nothing_known_is_plain_sampling_and_eps_agrees_with_x0():
    nothing = torch.zeros(2, dtype=torch.bool)
    painted = inpaint(PAIR.denoiser(LINEAR), LINEAR, normal(4, 2, seed=1), nothing, normal(4, 2), Adams(), 10)
    torch.testing.assert_close(painted, sample(PAIR.denoiser(LINEAR), LINEAR, normal(4, 2), Adams(), 10))
    x, t = normal(4, 2), torch.full((4,), 0.4, dtype=torch.float64)
    told = Known(PAIR.denoiser(LINEAR), normal(4, 2, seed=1), LEFT)(x, t)
    assert isinstance(told, Prediction)
    torch.testing.assert_close(told.alpha * told.x0 + told.sigma * told.eps, x)
    assert torch.equal(told.x0[:, 0], normal(4, 2, seed=1)[:, 0])


def test_a_generator_per_image_keeps_painting_independent_of_the_batch():
    from kexue.diffusion.randomness import seeded

    def painted(rows: slice) -> Tensor:
        seeds = seeded(range(4)[rows])
        return inpaint(
            PAIR.denoiser(LINEAR),
            LINEAR,
            normal(4, 2, seed=1)[rows],
            LEFT,
            normal(4, 2)[rows],
            DDIM(eta=1.0),
            5,
            seeds,
            repeats=3,
        )

    torch.testing.assert_close(painted(slice(None))[2:3], painted(slice(2, 3)), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("start", [0.1, 0.5, 1.0])
def test_image_to_image_is_noising_and_the_exact_way_back(start: float):
    image, noise, variance = normal(50, 3, seed=2), normal(50, 3), 0.25
    ours = image_to_image(answer(LINEAR, variance), LINEAR, image, noise, Adams(), 40, start=start)
    t = torch.full((50,), start, dtype=torch.float64)
    x_t = LINEAR.add_noise(image, noise, t)
    exact = x_t * math.sqrt(variance / marginal(LINEAR, start, variance))
    torch.testing.assert_close(ours, exact, rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", SAMPLERS)
def test_the_higher_the_start_the_less_is_left_of_the_image(name: str):
    image, num_steps = normal(400, 1, seed=2), 1 if name == "adaptive" else 20
    likeness = []
    for start in (0.05, 0.3, 0.6, 1.0):
        ours = image_to_image(
            answer(LINEAR, 1.0), LINEAR, image, normal(400, 1), SAMPLERS[name](), num_steps,
            torch.Generator().manual_seed(0), start=start,
        )  # fmt: skip
        likeness.append(float(torch.corrcoef(torch.cat((image, ours), 1).T)[0, 1]))
    assert all(after < before + 0.05 for before, after in pairwise(likeness))
    assert likeness[0] > 0.9
    assert abs(likeness[-1]) < 0.2


def test_half_precision_images_are_edited_in_half_precision():
    image, noise = normal(3, 4).half(), normal(3, 4, seed=1).half()
    seen = set()

    def denoise(x: Tensor, t: Tensor) -> Prediction:
        seen.add(x.dtype)
        return answer(LINEAR, 0.25)(x, t)

    assert image_to_image(denoise, LINEAR, image, noise, DDIM(), 4).dtype == torch.float16
    mask = torch.tensor([True, False, True, False])
    assert inpaint(denoise, LINEAR, image, mask, noise, DDIM(), 4).dtype == torch.float16
    assert seen == {torch.float16}


def test_what_makes_no_sense_is_refused():
    image, denoise = normal(3, 2), PAIR.denoiser(LINEAR)
    with pytest.raises(OptionError, match="of one shape"):
        image_to_image(denoise, LINEAR, image, normal(3, 3), DDIM(), 4)
    with pytest.raises(OptionError, match="0 <= end < start <= 1"):
        image_to_image(denoise, LINEAR, image, image, DDIM(), 4, start=1.5)
    with pytest.raises(OptionError, match="equal steps"):
        image_to_image(denoise, LINEAR, image, image, DDIM(), 4, grid=Trailing())
    with pytest.raises(OptionError, match="mask of bool"):
        inpaint(denoise, LINEAR, image, torch.ones(2), image, DDIM(), 4)
    with pytest.raises(OptionError, match="repeats >= 1"):
        inpaint(denoise, LINEAR, image, LEFT, image, DDIM(), 4, repeats=0)
