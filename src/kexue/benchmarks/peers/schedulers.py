"""The schedulers of diffusers as its pipelines run them: for t in timesteps, x = step(eps, t, x)."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import torch
from torch import Tensor

Eps = Callable[[Tensor, float], Tensor]
"""eps(x, timestep) of the chain x = alpha x_0 + sigma eps."""

CHAIN = {"num_train_timesteps": 1000, "beta_start": 1e-4, "beta_end": 0.02, "beta_schedule": "linear"}
SPACINGS = ("leading", "linspace", "trailing")
NAMES = (
    "DDIMScheduler",
    "DDPMScheduler",
    "DPMSolverMultistepScheduler",
    "DPMSolverSinglestepScheduler",
    "UniPCMultistepScheduler",
    "DEISMultistepScheduler",
    "EulerDiscreteScheduler",
    "EulerAncestralDiscreteScheduler",
    "HeunDiscreteScheduler",
    "KDPM2DiscreteScheduler",
    "LMSDiscreteScheduler",
    "SASolverScheduler",
)
CHOICES: dict[str, tuple[dict[str, Any], ...]] = {
    "timestep_spacing": tuple({"timestep_spacing": spacing} for spacing in SPACINGS),
    "use_karras_sigmas": ({}, {"use_karras_sigmas": True}, {"use_exponential_sigmas": True}),
    "use_lu_lambdas": ({}, {"use_lu_lambdas": True}),
    "solver_order": ({"solver_order": 2}, {"solver_order": 3}),
    "final_sigmas_type": ({"final_sigmas_type": "zero"}, {"final_sigmas_type": "sigma_min"}),
    "clip_sample": ({"clip_sample": False},),
}
CALLS_PER_STEP = {"HeunDiscreteScheduler": 2, "KDPM2DiscreteScheduler": 2}


def configurations() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every scheduler with every combination of its options that changes what is sampled."""
    import diffusers

    for name in NAMES:
        allowed = inspect.signature(getattr(diffusers, name)).parameters
        choices = [values for key, values in CHOICES.items() if key in allowed]
        for combination in product(*choices):
            options = {key: value for part in combination for key, value in part.items()}
            if not ("use_lu_lambdas" in options and {"use_karras_sigmas", "use_exponential_sigmas"} & options.keys()):
                yield name, options


def run(name: str, options: dict[str, Any], eps: Eps, noise: Tensor, num_calls: int) -> Tensor | None:
    """What the scheduler makes of `noise` with as many calls; None where it cannot."""
    import diffusers

    diffusers.utils.logging.set_verbosity_error()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            scheduler = getattr(diffusers, name)(**CHAIN, **options)
            scheduler.set_timesteps(
                (num_calls + 1) // CALLS_PER_STEP.get(name, 1) if name in CALLS_PER_STEP else num_calls
            )
            return _walk(scheduler, eps, noise)
        except (ValueError, IndexError, RuntimeError):  # options that exclude each other, or too few steps
            return None


def _walk(scheduler: Any, eps: Eps, noise: Tensor) -> Tensor:
    takes = inspect.signature(scheduler.step).parameters
    more = {"generator": torch.Generator().manual_seed(0)} if "generator" in takes else {}
    x = noise * scheduler.init_noise_sigma
    for t in scheduler.timesteps:
        x = scheduler.step(eps(scheduler.scale_model_input(x, t).double(), float(t)), t, x, **more).prev_sample
    return x
