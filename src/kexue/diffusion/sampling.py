"""The one loop: x_1 = prior_std * noise, then x_{t_0} -> x_{t_1} -> ... -> x_0 along a time grid.

    noise -> plan of rows (float64, once) -> one network call and one row per step

Samplers differ in their rows, networks in what they predict; neither knows of the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from kexue.diffusion.grids import UNIFORM, TimeGrid
from kexue.diffusion.prediction import Denoiser, Prediction, announced
from kexue.diffusion.randomness import Generators, check_one_each, drawing
from kexue.diffusion.samplers import Sampler, State, Step
from kexue.diffusion.schedules import Schedule
from kexue.errors import OptionError
from kexue.ops.precision import exact_dtype


@dataclass(frozen=True, eq=False)
class Progress:
    """What a callback sees after each step."""

    index: int
    """Of the step, from 0."""
    num_steps: int
    t: float
    """Where x is now."""
    x: Tensor
    prediction: Prediction | None

    @property
    def preview(self) -> Tensor:
        """What the picture will be as far as is known: the network's last x_0, computed when asked for."""
        return self.x if self.prediction is None else self.prediction.x0


Callback = Callable[[Progress], object]
Bar = Callable[[Sequence[Step]], Iterable[Step]]
"""Anything that passes steps on while it shows how many went by, as tqdm or rich.progress.track."""


def walk(
    denoise: Denoiser, sampler: Sampler, steps: Iterable[Step], x: Tensor, generator: Generators = None
) -> Iterator[State]:
    """The state after each step of a plan that begins at `x`; to stop early, stop asking.

    Neither gradients nor the dtype of `x` are touched.
    """
    draw, state = drawing(generator), State(x)
    for step in steps:
        state = sampler.step(denoise, state, step, draw)
        yield state


@torch.no_grad()
def sample(
    denoise: Denoiser,
    schedule: Schedule,
    noise: Tensor,
    sampler: Sampler,
    num_steps: int,
    generator: Generators = None,
    *,
    grid: TimeGrid | None = None,
    batch_size: int | None = None,
    callback: Callback | None = None,
    progress: Bar | None = None,
) -> Tensor:
    """Data [batch, ...] from `noise` of N(0, 1), of the same shape, dtype and device.

    Args:
        denoise: what the network says; it sees x_t in the dtype of `noise`, while x_t itself is kept in float32 at
            least.
        schedule: of the denoiser.
        noise: float[batch, ...]; scaled here by the schedule's `prior_std`.
        sampler: one of `SAMPLERS`.
        num_steps: of the grid; the last ends at the data.
        generator: of the noise that a stochastic sampler adds. One per image (see `seeded`) makes each image
            independent of the batch it is in.
        grid: the times; where left out those of `suited_grid`.
        batch_size: how many images go through the network at a time; all where left out.
        callback: sees a `Progress` after each step.
        progress: wraps the steps of a batch, to show a bar.

    Raises OptionError for noise that is no batch of floats, and what `TimeGrid.times` and `Sampler.plan` refuse.
    """
    check_batch("noise", noise)
    steps = sampler.plan(schedule, (grid or suited_grid(denoise, sampler)).times(schedule, num_steps))
    seen = in_dtype(denoise, noise.dtype)
    parts = []
    for part, own in in_parts(noise, generator, batch_size or len(noise)):
        start = schedule.prior_std * part.to(exact_dtype(part))
        shown = steps if progress is None else progress(steps)
        parts.append(follow(walk(seen, sampler, shown, start, own), steps, callback))
    return torch.cat(parts).to(noise.dtype)


def suited_grid(denoise: Denoiser, sampler: Sampler) -> TimeGrid:
    """The sampler's own grid, but equal steps in time for a network that is known to predict noise or the score.

    Its x_0 at t = 1 is its error times 1/alpha, a hundredfold; the other grids go far on it with their first step.
    """
    said = announced(denoise)
    return sampler.grid if said is None or said.knows_data_in_noise else UNIFORM


def follow(states: Iterator[State], steps: Sequence[Step], callback: Callback | None) -> Tensor:
    """x after the last state; `callback` sees all of them."""
    for i, state in enumerate(states):
        if callback is not None:
            callback(Progress(i, len(steps), steps[i].s, state.x, state.prediction))
    return state.x


def in_dtype(denoise: Denoiser, dtype: torch.dtype) -> Denoiser:
    """A denoiser that sees x_t in `dtype`, the time in float32 at least."""
    return denoise if dtype in (torch.float32, torch.float64) else lambda x, t: denoise(x.to(dtype), t)


def in_parts(x: Tensor, generator: Generators, size: int) -> Iterator[tuple[Tensor, Generators]]:
    """Batches of at most `size` images, with their generators."""
    if size < 1:
        raise OptionError(f"batch_size has to be at least 1, got {size!r}")
    each = generator if isinstance(generator, Sequence) else None
    if each is not None:
        check_one_each(each, len(x))
    for i in range(0, len(x), size):
        yield x[i : i + size], generator if each is None else each[i : i + size]


def check_batch(name: str, x: Tensor) -> None:
    """Refuse what is no batch of floats."""
    if x.ndim < 2 or not len(x) or not x.is_floating_point():
        raise OptionError(f"{name} has to be floats of shape [batch, ...], got {x.dtype} of shape {list(x.shape)}")
