"""Pictures from pictures: image to image from t_0, and inpainting.

    image to image   x_t0 = alpha x + sigma eps, then sampled down: the higher t_0, the freer
    inpainting       the network's x_0 is replaced by what is known, where it is known; eps follows

Replacing alone lets the unknown part see the known one through the network only as noisy as x_t is. Going back up and
down again, x_t = r x_s + beta z, lets the two agree (RePaint, Lugmayr et al. 2022).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from kexue.diffusion.grids import EqualSteps, TimeGrid
from kexue.diffusion.prediction import Denoiser, Parameterization, Prediction, announced
from kexue.diffusion.randomness import Draw, Generators, drawing
from kexue.diffusion.samplers import Sampler, State, Step
from kexue.diffusion.sampling import check_batch, follow, in_dtype, suited_grid, walk
from kexue.diffusion.schedules import Schedule
from kexue.errors import OptionError
from kexue.ops.precision import exact_dtype


@dataclass(frozen=True, eq=False)
class Known:
    """A denoiser that has been told a part of x_0; with it every sampler paints the rest.

    `x0` is broadcast against x_t; `mask` is True where x_0 is known.
    """

    denoise: Denoiser
    x0: Tensor
    mask: Tensor

    @property
    def parameterization(self) -> Parameterization | None:
        """That of the denoiser."""
        return announced(self.denoise)

    def __call__(self, x_t: Tensor, t: Tensor) -> Prediction:
        """The network's x_0 where nothing is known; eps re-derived from both."""
        free = self.denoise(x_t, t)
        return Prediction.from_x0(torch.where(self.mask, self.x0.to(free.x0), free.x0), x_t, free.alpha, free.sigma)


@torch.no_grad()
def image_to_image(
    denoise: Denoiser,
    schedule: Schedule,
    image: Tensor,
    noise: Tensor,
    sampler: Sampler,
    num_steps: int,
    generator: Generators = None,
    *,
    start: float = 0.5,
    grid: EqualSteps | None = None,
) -> Tensor:
    """`image` [batch, ...] noised up to t = `start` with `noise` of N(0, 1), and sampled from there in all the steps.

    Raises OptionError for shapes that differ, a start outside (0, 1], and as `sample` does.
    """
    _check_same_shape(image, noise)
    times = replace(_equal_steps(grid or suited_grid(denoise, sampler)), start=start, end=0.0).times(
        schedule, num_steps
    )
    exact = exact_dtype(image, noise)
    start_time = torch.full((len(image),), start, dtype=torch.float64, device=image.device)
    x = schedule.add_noise(image.to(exact), noise.to(exact), start_time)
    steps = sampler.plan(schedule, times)
    return follow(walk(in_dtype(denoise, image.dtype), sampler, steps, x, generator), steps, None).to(image.dtype)


@torch.no_grad()
def inpaint(
    denoise: Denoiser,
    schedule: Schedule,
    known: Tensor,
    mask: Tensor,
    noise: Tensor,
    sampler: Sampler,
    num_steps: int,
    generator: Generators = None,
    *,
    repeats: int = 1,
    grid: EqualSteps | None = None,
) -> Tensor:
    """`known` [batch, ...] where `mask` is True, and the rest painted to go with it.

    Each step but the last is taken `repeats` times, with noise added between: num_steps * repeats network calls at
    about, and the law of the painted part comes the closer to what it should be. `noise` is of N(0, 1).

    Raises OptionError for shapes that differ, a mask that is not bool or repeats below 1, and as `sample` does.
    """
    _check_same_shape(known, noise)
    if mask.dtype != torch.bool or repeats < 1:
        raise OptionError(f"inpainting needs a mask of bool and repeats >= 1, got {mask.dtype} and {repeats!r}")
    exact = exact_dtype(known, noise)
    told = Known(in_dtype(denoise, known.dtype), known.to(exact), mask)
    state, draw = State(schedule.prior_std * noise.to(exact)), drawing(generator)
    times = _equal_steps(grid or suited_grid(denoise, sampler)).times(schedule, num_steps)
    for step in sampler.plan(schedule, times):
        state = _repeated(told, sampler, state, step, draw, repeats if step.s else 1)
    return torch.where(mask, known, state.x.to(known.dtype))


def _repeated(denoise: Denoiser, sampler: Sampler, state: State, step: Step, draw: Draw, repeats: int) -> State:
    """The step, and `repeats` - 1 times back up and the step again."""
    after = sampler.step(denoise, state, step, draw)
    ends = torch.tensor([step.t, step.s], dtype=torch.float64)
    kept, fresh = float(step.schedule.step_alpha(*ends)), float(step.schedule.step_sigma(*ends))
    for _ in range(repeats - 1):
        again = torch.mul(after.x, kept).add_(draw(after.x), alpha=fresh)
        after = sampler.step(denoise, state._replace(x=again), step, draw)
    return after


def _equal_steps(grid: TimeGrid) -> EqualSteps:
    if not isinstance(grid, EqualSteps):
        raise OptionError(f"editing begins anywhere in time, so it needs a grid of equal steps, got {grid}")
    return grid


def _check_same_shape(image: Tensor, noise: Tensor) -> None:
    check_batch("the image", image)
    if image.shape != noise.shape:
        raise OptionError(f"image and noise have to be of one shape, got {list(image.shape)} and {list(noise.shape)}")
