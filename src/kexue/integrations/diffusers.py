"""Our samplers as schedulers of diffusers' pipelines.

    pipeline.scheduler = SamplerScheduler.like(pipeline.scheduler, Heun())

A pipeline calls the network and hands the answer in; a sampler calls the network itself. So a step of the sampler is
begun again with each answer: the answers and the noise it had so far are played back, until it asks for one more.
That costs the arithmetic of a step once more and works for a sampler of any number of calls per step.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.schedulers.scheduling_utils import SchedulerMixin, SchedulerOutput
from torch import Tensor

from kexue.diffusion.configuration import part_from_json, part_to_json
from kexue.diffusion.denoisers.unet import whole_steps
from kexue.diffusion.diffusers_format import read_scheduler
from kexue.diffusion.grids import GRIDS, TimeGrid
from kexue.diffusion.prediction import Levels, Prediction
from kexue.diffusion.randomness import Draw, Generators, drawing
from kexue.diffusion.samplers import SAMPLERS, Adaptive, Sampler, State, Step
from kexue.errors import OptionError
from kexue.ops.precision import exact_dtype

BETA_OPTIONS = (
    "num_train_timesteps",
    "beta_start",
    "beta_end",
    "beta_schedule",
    "trained_betas",
    "prediction_type",
    "rescale_betas_zero_snr",
)


class _Asked(Exception):  # noqa: N818  (not an error)
    """A sampler wants to know what the network says at x, and has not been told."""

    def __init__(self, x: Tensor) -> None:
        self.x = x


class SamplerScheduler(SchedulerMixin, ConfigMixin):
    """One of `SAMPLERS` as a scheduler, on the betas of a scheduler of diffusers.

    Args:
        sampler: a sampler as `part_to_json` writes it; DDIM where left out.
        grid: the times; the sampler's own where left out.
        num_train_timesteps: length N of the chain that the network was trained on.
        beta_start: first beta.
        beta_end: last beta.
        beta_schedule: "linear", "scaled_linear", "squaredcos_cap_v2" or "sigmoid".
        trained_betas: the betas themselves.
        prediction_type: "epsilon", "sample" or "v_prediction".
        rescale_betas_zero_snr: whether betas are stretched to zero terminal SNR.

    Raises `OptionError` for an adaptive sampler, whose number of network calls nobody knows beforehand.
    """

    config_name = "scheduler_config.json"
    order = 1

    @register_to_config
    def __init__(
        self,
        sampler: dict[str, Any] | None = None,
        grid: dict[str, Any] | None = None,
        num_train_timesteps: int = 1000,
        beta_start: float = 0.0001,
        beta_end: float = 0.02,
        beta_schedule: str = "linear",
        trained_betas: Sequence[float] | None = None,
        prediction_type: str = "epsilon",
        rescale_betas_zero_snr: bool = False,
    ) -> None:
        self.schedule, self.parameterization = read_scheduler(dict(self.config), "this scheduler")
        self.sampler: Sampler = part_from_json(sampler or {"name": "ddim"}, "sampler", SAMPLERS)
        self.grid = self.sampler.grid if grid is None else part_from_json(grid, "time grid", GRIDS)
        if isinstance(self.sampler, Adaptive):
            raise OptionError("an adaptive sampler cannot be a scheduler, which has to name its times beforehand")
        self.init_noise_sigma = self.schedule.prior_std
        self.timesteps = torch.empty(0)
        self._steps: list[Step] | None = None
        self._walk: _Walk | None = None

    @classmethod
    def like(cls, scheduler: Any, sampler: Sampler, grid: TimeGrid | None = None) -> SamplerScheduler:
        """A scheduler with the betas and the prediction type of another one."""
        kept = {key: value for key, value in scheduler.config.items() if key in BETA_OPTIONS}
        return cls(sampler=part_to_json(sampler), grid=None if grid is None else part_to_json(grid), **kept)

    def set_timesteps(self, num_inference_steps: int, device: str | torch.device | None = None) -> None:
        """Plan a walk; `timesteps` are those at which the network will be asked, several per step for some samplers."""
        self._steps = self.sampler.plan(self.schedule, self.grid.times(self.schedule, num_inference_steps))
        times, self._step_of_call = self._rehearse(self._steps)
        steps = whole_steps(torch.tensor(times, dtype=torch.float64) * len(self) - 1)
        whole = bool((steps == steps.round()).all())
        self.timesteps = steps.to(device, torch.int64 if whole else torch.float32)
        self._walk = None

    def _rehearse(self, steps: Sequence[Step]) -> tuple[list[float], list[int]]:
        """The time of each network call, and its step, of a walk with a network that says 0."""
        times: list[float] = []

        def denoise(x: Tensor, t: Tensor) -> Prediction:
            times.append(t.double().mean().item())
            return self._predict(torch.zeros_like(x), x, times[-1])

        state = State(torch.zeros(1, 1, dtype=torch.float64))
        step_of_call: list[int] = []
        for index, step in enumerate(steps):
            state = self.sampler.step(denoise, state, step, torch.zeros_like)
            step_of_call += [index] * (len(times) - len(step_of_call))
        return times, step_of_call

    def step(
        self,
        model_output: Tensor,
        timestep: int | float | Tensor,
        sample: Tensor,
        generator: Generators = None,
        return_dict: bool = True,
        **ignored: Any,
    ) -> SchedulerOutput | tuple[Tensor]:
        """What the network is to be asked about next, or the data after the last timestep.

        Raises `OptionError` before `set_timesteps`, and for a first timestep that is not one of `timesteps`. Options
        of other schedulers, such as `eta`, are ignored: they are fields of the sampler here.
        """
        if self._steps is None:
            raise OptionError("set_timesteps has to be called before step")
        if self._walk is None:
            self._walk = _Walk(self._first_step(float(timestep)), State(sample))
        walk = self._walk
        if not walk.answers:
            walk.state = walk.state._replace(x=sample.to(exact_dtype(sample)))
            walk.asked = walk.state.x
        value = model_output[:, : sample.shape[1]]
        t = (float(timestep) + 1) / len(self)
        walk.answers.append(self._predict(value, walk.asked, t))
        walk.advance(self.sampler, self._steps, drawing(generator))
        out = walk.asked.to(sample.dtype)
        return SchedulerOutput(prev_sample=out) if return_dict else (out,)

    def _first_step(self, timestep: float) -> int:
        calls = [call for call, known in enumerate(self.timesteps.tolist()) if abs(known - timestep) < 1e-3]
        starts = [call for call in calls if call == 0 or self._step_of_call[call - 1] != self._step_of_call[call]]
        if not starts:
            raise OptionError(f"timestep {timestep:g} begins no step; timesteps are {self.timesteps.tolist()}")
        return self._step_of_call[starts[0]]

    def _predict(self, value: Tensor, x_t: Tensor, t: float) -> Prediction:
        time = torch.tensor(t, dtype=torch.float64)
        levels = Levels(lambda: (float(self.schedule.alpha(time)), float(self.schedule.sigma(time))))
        return Prediction(value, x_t, levels, self.parameterization)

    def scale_model_input(self, sample: Tensor, timestep: Any = None) -> Tensor:
        """The sample: networks here see x_t itself."""
        return sample

    def add_noise(self, original_samples: Tensor, noise: Tensor, timesteps: Tensor) -> Tensor:
        """alpha x_0 + sigma eps at timesteps [batch]."""
        t = (timesteps.to(torch.float64) + 1) / len(self)
        return self.schedule.add_noise(original_samples, noise, t.to(original_samples.device))

    def __len__(self) -> int:
        return len(self.schedule.betas)


class _Walk:
    """Where a walk stands within a step: what was answered and drawn so far, and what was asked last."""

    def __init__(self, index: int, state: State) -> None:
        self.index = index
        self.state = state
        self.asked = state.x
        self.answers: list[Prediction] = []
        self.noise: list[Tensor] = []

    def advance(self, sampler: Sampler, steps: Sequence[Step], draw: Draw) -> None:
        """Play the step with the answers there are: to its end, or to the next question."""
        answers, drawn = iter(self.answers), iter(self.noise)

        def denoise(x: Tensor, t: Tensor) -> Prediction:
            for answer in answers:
                return answer
            raise _Asked(x)

        def replay(x: Tensor) -> Tensor:
            for noise in drawn:
                return noise
            self.noise.append(draw(x))
            return self.noise[-1]

        try:
            self.state = sampler.step(denoise, self.state, steps[self.index], replay)
        except _Asked as question:
            self.asked = question.x
            return
        self.index, self.answers, self.noise = self.index + 1, [], []
        self.asked = self.state.x
