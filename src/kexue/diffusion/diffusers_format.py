"""A generator in the words of diffusers: folders `unet` and `scheduler`, and `model_index.json` for `DDPMPipeline`.

    step k of N there is t = (k + 1) / N here;  betas there are `schedule.discrete_betas(N)`

Every variance preserving schedule can be said in betas, and the chain that diffusers makes of them agrees with the
schedule at its N times. Read are the numbers of a scheduler's configuration, never its code.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from kexue.diffusion.denoisers.network import NUM_TIMES
from kexue.diffusion.denoisers.unet import UNet, unet_class
from kexue.diffusion.prediction import EPS, X0, Parameterization, V
from kexue.diffusion.schedules import (
    DiscreteBetas,
    Schedule,
    cosine_betas,
    linear_betas,
    scaled_linear_betas,
    zero_terminal_betas,
)
from kexue.errors import CheckpointError, unknown
from kexue.files import write_json
from kexue.foreign import check_numbers, filled_by, read_config

INDEX = "model_index.json"
MOST_TIMES = 1_000_000
WEIGHTS = "diffusion_pytorch_model.safetensors"
PREDICTION_TYPES: dict[str, Parameterization] = {"epsilon": EPS, "sample": X0(), "v_prediction": V()}
BETAS: dict[str, Callable[[int, float, float], Tensor]] = {
    "linear": linear_betas,
    "scaled_linear": scaled_linear_betas,
    "squaredcos_cap_v2": lambda num_steps, first, last: cosine_betas(num_steps),
    "sigmoid": lambda num_steps, first, last: (
        first + (last - first) * torch.sigmoid(torch.linspace(-6, 6, num_steps, dtype=torch.float64))
    ),
}


def is_variance_preserving(schedule: Schedule) -> bool:
    """Whether alpha^2 + sigma^2 is 1, as diffusers' schedulers of betas take for granted."""
    t = torch.linspace(0, 1, 11, dtype=torch.float64)
    total = schedule.alpha(t).square() + schedule.sigma(t).square()
    return bool(torch.allclose(total, torch.ones_like(total), rtol=0, atol=1e-9))


def scheduler_config(schedule: Schedule, parameterization: Parameterization) -> dict[str, Any] | None:
    """The configuration of a `DDPMScheduler` that agrees with a schedule; None if there is none."""
    kinds = [name for name, kind in PREDICTION_TYPES.items() if kind == parameterization]
    if not kinds or not is_variance_preserving(schedule):
        return None
    return {
        "_class_name": "DDPMScheduler",
        "num_train_timesteps": NUM_TIMES,
        "trained_betas": schedule.discrete_betas(NUM_TIMES).tolist(),
        "prediction_type": kinds[0],
        "variance_type": "fixed_small",
        "timestep_spacing": "trailing",
        "clip_sample": False,
    }


def write_unet(network: UNet, folder: Path) -> None:
    """The U-Net and its weights, as diffusers writes them."""
    network.unet.save_pretrained(folder / "unet", safe_serialization=True)


def write_pipeline(schedule: Schedule, parameterization: Parameterization, folder: Path) -> None:
    """What makes a pipeline of a folder with a U-Net, where diffusers has the schedule and the parameterization."""
    config = scheduler_config(schedule, parameterization)
    if config is None:
        return
    (folder / "scheduler").mkdir()
    write_json(folder / "scheduler" / "scheduler_config.json", config)
    parts = {"unet": ["diffusers", "UNet2DModel"], "scheduler": ["diffusers", "DDPMScheduler"]}
    write_json(folder / INDEX, {"_class_name": "DDPMPipeline", **parts})


def read_pipeline(folder: Path) -> tuple[UNet, Schedule, Parameterization]:
    """A folder that diffusers wrote, with sub-folders or, as in its early days, without.

    Raises `CheckpointError` if it holds no unconditional U-Net with a scheduler of betas, or no safetensors.
    """
    unet_folder = folder / "unet" if (folder / "unet").is_dir() else folder
    scheduler_folder = folder / "scheduler" if (folder / "scheduler").is_dir() else folder
    config = read_config(scheduler_folder / "scheduler_config.json")
    schedule, parameterization = read_scheduler(config, str(scheduler_folder))
    num_times = len(schedule.betas)
    return read_unet(unet_folder, num_times), schedule, parameterization


def read_scheduler(config: dict[str, Any], place: str) -> tuple[DiscreteBetas, Parameterization]:
    """The betas and the prediction type of a DDPM, DDIM or like scheduler's configuration."""
    kind = config.get("prediction_type") or "epsilon"
    if kind not in PREDICTION_TYPES:
        raise CheckpointError(f"{place}: {unknown('prediction type', kind, list(PREDICTION_TYPES))}")
    betas = _betas(config, place)
    if config.get("rescale_betas_zero_snr"):
        betas = zero_terminal_betas(betas)
    return DiscreteBetas(tuple(betas.tolist())), PREDICTION_TYPES[kind]


def _betas(config: dict[str, Any], place: str) -> Tensor:
    if config.get("trained_betas") is not None:
        return torch.tensor(config["trained_betas"], dtype=torch.float64)
    name = config.get("beta_schedule", "linear")
    if "num_train_timesteps" not in config or name not in BETAS:
        reason = unknown("beta schedule", str(name), list(BETAS)) if name not in BETAS else "it states no betas"
        raise CheckpointError(f"{place}: a scheduler of betas is needed, such as DDPMScheduler; {reason}")
    if not 1 <= config["num_train_timesteps"] <= MOST_TIMES:
        raise CheckpointError(
            f"{place}: num_train_timesteps is {config['num_train_timesteps']}, not 1 to {MOST_TIMES:,}"
        )
    make = BETAS[name]
    return make(config["num_train_timesteps"], config.get("beta_start", 0.0001), config.get("beta_end", 0.02))


def read_unet(folder: Path, num_times: int, num_classes: int = 0) -> UNet:
    """A U-Net of diffusers from its configuration and safetensors."""
    config = read_config(folder / "config.json")
    if config.get("_class_name") != "UNet2DModel":
        raise CheckpointError(f"{folder}: holds a {config.get('_class_name')}; only a UNet2DModel can be read")
    if not num_classes and (config.get("num_class_embeds") or config.get("class_embed_type")):
        raise CheckpointError(f"{folder}: is conditional on classes; only unconditional U-Nets of others can be read")
    if type(num_times) is not int or type(num_classes) is not int or num_times < 1 or num_classes < 0:
        raise CheckpointError(f"{folder}: num_times {num_times!r} and num_classes {num_classes!r} are no such numbers")
    if num_classes and config.get("num_class_embeds") != num_classes + 1:
        raise CheckpointError(f"{folder}: knows {config.get('num_class_embeds')} classes, not {num_classes} and any")
    weights = folder / WEIGHTS
    if not weights.is_file():
        raise CheckpointError(
            f"{folder}: has no {WEIGHTS}; pickled weights (.bin) are never loaded: write them with diffusers' "
            "`unet.save_pretrained(folder, safe_serialization=True)`"
        )
    with filled_by([weights]), torch.device("meta"):
        unet_class().from_config(config)
    unet = unet_class().from_config(config)
    unet.load_state_dict(load_file(weights))
    check_numbers(unet, weights)
    return UNet(unet.eval(), num_times, num_classes)
