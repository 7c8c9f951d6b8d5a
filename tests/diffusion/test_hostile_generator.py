"""A stranger's generator is loaded and draws, or is refused; nothing in it is run, and nothing vast is made."""

from __future__ import annotations

import pickle
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from kexue.diffusion.checkpoint import GeneratorCheckpoint, load_generator, save_generator
from kexue.diffusion.denoisers import DENOISERS, GAUDenoiser, UNet
from kexue.diffusion.prediction import V
from kexue.diffusion.samplers import DDIM
from kexue.diffusion.schedules import ZeroTerminalSNR
from kexue.errors import CheckpointError
from kexue.manifest import MANIFEST
from kexue.pipelines.generator import Generator
from tests.extraction.test_hostile_checkpoint import attack, edit
from tests.hostile import Explosive, sign
from tests.training.generation.tiny import SIZES

diffusers = pytest.importorskip("diffusers")


def gau(folder: Path) -> Path:
    torch.manual_seed(0)
    network = GAUDenoiser.from_config(GAUDenoiser(SIZES).config | {"num_classes": 2})
    save_generator(GeneratorCheckpoint(network, ZeroTerminalSNR(), V(), label_names=("ant", "bee")), folder)
    return folder


def small_unet() -> Any:
    torch.manual_seed(0)
    return diffusers.UNet2DModel(
        sample_size=8,
        in_channels=1,
        out_channels=1,
        layers_per_block=1,
        block_out_channels=(8, 8),
        norm_num_groups=4,
        down_block_types=("DownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "UpBlock2D"),
    )


def unet(folder: Path) -> Path:
    save_generator(GeneratorCheckpoint(UNet(small_unet())), folder)
    return folder


def pipeline(folder: Path) -> Path:
    diffusers.DDPMPipeline(small_unet(), diffusers.DDPMScheduler()).save_pretrained(folder)
    return folder


KINDS: dict[str, Callable[[Path], Path]] = {"gau": gau, "unet": unet, "pipeline": pipeline}


def use(folder: Path) -> None:
    """Load and draw; what comes out are pixels."""
    generator = Generator(load_generator(folder), device="cpu")
    label = generator.label_names[0] if generator.label_names else None
    images = generator.sample(1, sampler=DDIM(), num_steps=2, generator=torch.Generator().manual_seed(0))
    assert generator.pixels(images).dtype == np.uint8
    assert label is None or isinstance(label, str)


def test_every_kind_of_network_is_attacked():
    assert set(DENOISERS) <= set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_generator_draws_or_is_refused(kind: str, tmp_path: Path):
    worked, refused = attack(KINDS[kind](tmp_path / "whole"), use, tmp_path, 40, seed=0)
    assert worked and refused


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS)
def test_thousands_of_damaged_generators_draw_or_are_refused(kind: str, tmp_path: Path):
    attack(KINDS[kind](tmp_path / "whole"), use, tmp_path, 2000, seed=1)


# --- what no chance would find ---


def change_unet(**values: Any) -> Callable[[Path], None]:
    return lambda folder: edit(folder / "unet" / "config.json", lambda config: config.update(values))


def change_network(**values: Any) -> Callable[[Path], None]:
    return lambda folder: edit(folder / "network" / "config.json", lambda config: config.update(values))


def change_scheduler(**values: Any) -> Callable[[Path], None]:
    return lambda folder: edit(folder / "scheduler" / "scheduler_config.json", lambda config: config.update(values))


def change_manifest(key: str, value: Any) -> Callable[[Path], None]:
    return lambda folder: edit(folder / MANIFEST, lambda content: content.update({key: value}))


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("gau", change_network(dim=2**24)),
        ("gau", change_network(num_layers=2**30)),
        ("gau", change_network(num_classes=2**30)),
        ("gau", change_network(key_dim=10**30)),
        ("gau", change_network(height=2**16, width=2**16)),
        ("unet", change_unet(sample_size=[2**20, 2**20])),
        ("unet", change_unet(block_out_channels=[2**24, 2**24])),
        ("unet", change_unet(layers_per_block=2**30)),
        ("unet", change_unet(in_channels=2**30)),
        ("pipeline", change_unet(block_out_channels=[2**20, 2**24])),
        ("pipeline", change_scheduler(num_train_timesteps=2**31)),
        ("pipeline", change_scheduler(num_train_timesteps=10**12)),
        ("gau", change_manifest("schedule", {"name": "article", "num_steps": 2**34})),
    ],
)
def test_a_configuration_that_asks_for_terabytes_is_refused_before_anything_is_allocated(
    kind: str, change: Callable[[Path], None], tmp_path: Path
):
    folder = KINDS[kind](tmp_path / "model")
    change(folder)
    sign(folder)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(CheckpointError) as error:
        load_generator(folder)
    assert str(folder) in str(error.value)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 * 1024  # KiB


@pytest.mark.parametrize(
    ("kind", "change", "message"),
    [
        ("gau", change_manifest("label_names", ["ant"]), "1 label_names for a network of 2 classes"),
        ("gau", change_manifest("label_names", "ab"), "must be a list of names"),
        ("gau", change_manifest("max_value", 16.5), "max_value must be within 1 ... 255, a whole number, got 16.5"),
        ("gau", change_manifest("schedule", {"name": "linear_vp", "beta_min": "low"}), "schedule 'linear_vp'"),
        ("gau", change_manifest("schedule", {"name": "linear_vp", "beta_min": float("nan")}), "signal-to-noise"),
        ("gau", change_manifest("schedule", {"name": ["linear_vp"]}), "unknown schedule"),
        ("gau", change_manifest("schedule", "linear_vp"), "a name and its fields are needed"),
        ("gau", change_manifest("network", {"kind": ["gau"]}), "cannot be loaded"),
        ("gau", change_network(height=9), "images of 9 x 8 are not cut into"),
        ("gau", change_network(width="8"), "width must be a whole number"),
        ("unet", change_unet(sample_size=None), "cannot be loaded"),
        ("unet", change_unet(mid_block_scale_factor=[1]), "cannot be loaded"),
        ("unet", change_manifest("network", {"kind": "unet", "num_times": 0, "num_classes": 0}), "num_times 0"),
        ("unet", change_manifest("network", {"kind": "unet", "num_times": 9, "num_classes": 3}), "knows None classes"),
    ],
)
def test_a_value_that_cannot_be_is_named_with_its_folder(
    kind: str, change: Callable[[Path], None], message: str, tmp_path: Path
):
    folder = KINDS[kind](tmp_path / "model")
    change(folder)
    sign(folder)
    with pytest.raises(CheckpointError, match=message) as error:
        load_generator(folder)
    assert str(folder) in str(error.value)


@pytest.mark.parametrize("kind", KINDS)
def test_weights_that_are_no_numbers_are_refused(kind: str, tmp_path: Path):
    from safetensors.torch import load_file, save_file

    folder = KINDS[kind](tmp_path / "model")
    (path,) = folder.rglob("*.safetensors")
    weights = load_file(path)
    next(iter(weights.values())).flatten()[:1].fill_(torch.nan)
    save_file(weights, path)
    sign(folder)
    with pytest.raises(CheckpointError, match=r"safetensors: the weights .* hold NaN or infinity"):
        load_generator(folder)


@pytest.mark.parametrize("kind", KINDS)
def test_a_pickle_in_place_of_the_weights_is_never_loaded(kind: str, tmp_path: Path):
    folder, proof = KINDS[kind](tmp_path / "model"), tmp_path / "proof"
    (path,) = folder.rglob("*.safetensors")
    path.write_bytes(pickle.dumps(Explosive(proof)))
    sign(folder)
    with pytest.raises(CheckpointError, match="damaged or no safetensors"):
        load_generator(folder)
    path.replace(path.with_suffix(".bin"))
    with pytest.raises(CheckpointError):
        load_generator(folder)
    assert not proof.exists()
