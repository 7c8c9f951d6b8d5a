"""A trained generator as a folder that diffusers can read where it knows the parts, and nothing in it that runs code.

    unet/  scheduler/  model_index.json      a U-Net, and what makes a `DDPMPipeline` of it (`diffusers_format`)
    network/config.json, model.safetensors   any other network
    kexue.json                               schedule, parameterization, pixel scale, classes, recipe, metrics,
                                             provenance, digests
    README.md                                the model card, for people

A folder that diffusers wrote, without `kexue.json`, is read too.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from kexue import manifest
from kexue.cards import model_folder
from kexue.diffusion import diffusers_format
from kexue.diffusion.configuration import part_from_json, part_to_json
from kexue.diffusion.denoisers import DENOISERS, DenoisingNetwork, UNet
from kexue.diffusion.images import PixelScale
from kexue.diffusion.prediction import EPS, PARAMETERIZATIONS, Parameterization
from kexue.diffusion.schedules import SCHEDULES, LinearVP, Schedule
from kexue.errors import CheckpointError, unknown
from kexue.files import digest, write_json
from kexue.foreign import check_links, check_numbers, filled_by, read_config, refusing, weight_files

FORMAT = (1, 0)  # a folder with a higher first number is refused
WEIGHTS = "model.safetensors"
MOST_VALUES = 2**28  # in one image


@dataclass(frozen=True, eq=False)
class GeneratorCheckpoint:
    """Everything that a trained generator consists of."""

    network: DenoisingNetwork
    schedule: Schedule = LinearVP()  # noqa: RUF009  (frozen)
    parameterization: Parameterization = EPS
    scale: PixelScale = PixelScale()  # noqa: RUF009  (frozen)
    label_names: tuple[str, ...] = ()
    recipe: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    fingerprint: str = ""
    """SHA-256 of the manifest that was read, which holds the digests of all other files."""
    provenance: dict[str, Any] = field(default_factory=dict)
    """What it was made of, on what and when (`kexue.provenance`)."""


def save_generator(checkpoint: GeneratorCheckpoint, folder: str | Path) -> None:
    """Write all files beside their place, then move them in; the manifest comes last, and then the model card."""
    content = {
        "kind": "generator",
        "network": {"kind": checkpoint.network.kind, **_network_facts(checkpoint.network)},
        "schedule": part_to_json(checkpoint.schedule),
        "parameterization": part_to_json(checkpoint.parameterization),
        "max_value": checkpoint.scale.max_value,
        "label_names": list(checkpoint.label_names),
        "recipe": checkpoint.recipe,
        "metrics": checkpoint.metrics,
        "provenance": checkpoint.provenance,
    }
    with model_folder(folder, content, FORMAT) as partial:
        _write_network(checkpoint, partial)


def load_generator(folder: str | Path) -> GeneratorCheckpoint:
    """Read a folder written by `save_generator` or by diffusers.

    Raises `CheckpointError` if a file is missing or damaged, the folder comes from a newer major version, or it
    holds something else.
    """
    folder = Path(folder)
    if folder.is_dir() and not (folder / manifest.MANIFEST).exists() and _is_from_diffusers(folder):
        with refusing(folder):
            check_links(folder)
            unet, schedule, parameterization = diffusers_format.read_pipeline(folder)
            _try_out(unet)
            return GeneratorCheckpoint(unet, schedule, parameterization)
    content = manifest.read(folder, FORMAT)
    if content.get("kind") != "generator":
        raise CheckpointError(f"{folder}: holds a model of kind {content.get('kind', 'extractor')!r}, not a generator")
    with refusing(folder):
        network = _read_network(content["network"], folder).eval()
        _try_out(network)
        return GeneratorCheckpoint(
            network,
            part_from_json(content["schedule"], "schedule", SCHEDULES),
            part_from_json(content["parameterization"], "parameterization", PARAMETERIZATIONS),
            PixelScale(content["max_value"]),
            _label_names(content["label_names"], network.num_classes),
            dict(content.get("recipe", {})),
            dict(content.get("metrics", {})),
            digest(folder / manifest.MANIFEST),
            dict(content.get("provenance", {})),
        )


def holds_generator(folder: str | Path) -> bool:
    """Whether a folder says that it is a generator, ours or of diffusers; nothing else of it is looked at."""
    folder = Path(folder)
    path = folder / manifest.MANIFEST
    if not path.is_file():
        return folder.is_dir() and _is_from_diffusers(folder)
    try:
        return bool(json.loads(path.read_text(encoding="utf-8")).get("kind") == "generator")
    except (OSError, ValueError, AttributeError, RecursionError):
        return False


def _write_network(checkpoint: GeneratorCheckpoint, folder: Path) -> None:
    network = checkpoint.network
    if isinstance(network, UNet):
        diffusers_format.write_unet(network, folder)
        if not network.num_classes:  # a DDPMPipeline has no way to name a class
            diffusers_format.write_pipeline(checkpoint.schedule, checkpoint.parameterization, folder)
        return
    (folder / "network").mkdir()
    write_json(folder / "network" / "config.json", network.config)
    weights = {name: value.detach().contiguous().cpu() for name, value in network.state_dict().items()}
    save_file(weights, folder / "network" / WEIGHTS)


def _network_facts(network: DenoisingNetwork) -> dict[str, Any]:
    """What a U-Net's own configuration does not say."""
    return {"num_times": network.num_times, "num_classes": network.num_classes} if isinstance(network, UNet) else {}


def _read_network(facts: dict[str, Any], folder: Path) -> DenoisingNetwork:
    if facts["kind"] not in DENOISERS:
        raise CheckpointError(f"{folder}: {unknown('network', facts['kind'], list(DENOISERS))}")
    if facts["kind"] == UNet.kind:
        return diffusers_format.read_unet(folder / "unet", facts["num_times"], facts["num_classes"])
    config, files = read_config(folder / "network" / "config.json"), weight_files(folder / "network", WEIGHTS)
    with filled_by(files), torch.device("meta"):
        DENOISERS[facts["kind"]].from_config(config)
    network = DENOISERS[facts["kind"]].from_config(config)
    network.load_state_dict(load_file(files[0]))
    check_numbers(network, files[0])
    return network


@torch.inference_mode()
def _try_out(network: DenoisingNetwork) -> None:
    """Ask about a small image, so that a configuration that lets none through is noticed here."""
    channels, height, width = network.shape
    if min(network.shape) < 1 or math.prod(network.shape) > MOST_VALUES:
        raise ValueError(f"no images are of {channels} x {height} x {width}")
    x_t = torch.zeros(1, channels, *(network.smallest or (height, width)))
    said = network(x_t, torch.tensor([0.5]))
    if said.shape != x_t.shape:
        raise ValueError(f"the network makes {list(said.shape)} of {list(x_t.shape)}")


def _label_names(names: Any, num_classes: int) -> tuple[str, ...]:
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise TypeError(f"label_names must be a list of names, got {names!r}")
    if names and len(names) != num_classes:
        raise ValueError(f"{len(names)} label_names for a network of {num_classes} classes")
    return tuple(names)


def _is_from_diffusers(folder: Path) -> bool:
    """Whether diffusers can read it, and it is not one of ours of which the manifest was not written yet."""
    ours = (folder / manifest.WRITING).exists() or (folder / "training").exists()
    return not ours and ((folder / diffusers_format.INDEX).exists() or (folder / "unet" / "config.json").exists())
