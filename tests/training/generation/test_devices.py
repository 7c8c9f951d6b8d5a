"""Training on a GPU: images and chance are there, no step waits, and what comes out is loaded anywhere."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import torch
from rich.console import Console
from torch import Tensor

from kexue.diffusion.checkpoint import load_generator
from kexue.diffusion.denoisers import DENOISERS, UNet
from kexue.diffusion.denoisers.unet import PRESETS
from kexue.diffusion.images import read_images
from kexue.training.generation import dataset
from kexue.training.generation.dataset import Collator
from kexue.training.generation.model import GenerationModel
from kexue.training.generation.run import train
from kexue.training.order import EpochOrder, Place
from tests.diffusion.test_devices import no_waiting
from tests.training.generation.tiny import TinyGAU, recipe, save_digits

QUIET = Console(quiet=True)
compiling = pytest.mark.filterwarnings("ignore::UserWarning")  # torch.compile looks at what torch warns of


@pytest.fixture(autouse=True)
def tiny_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the U-Net is compiled: the shapes of ours are checked while tests run, which cannot be traced."""
    monkeypatch.setitem(DENOISERS, "gau", TinyGAU)
    sizes = {"block_out_channels": (8, 16), "layers_per_block": 1, "attention": (1,), "norm_num_groups": 4}
    monkeypatch.setitem(PRESETS, "tiny", sizes)


@pytest.mark.parametrize("fits", [True, False])
def test_a_batch_is_made_on_the_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: str, fits: bool):
    images = read_images("digits")
    chosen = recipe("digits", tmp_path, batch_size=8, conditional=True, label_dropout=0)
    places = list(EpochOrder(len(images), 8, seed=0))[:8]
    monkeypatch.setattr(dataset, "fits", lambda num_bytes, on: fits)
    batch = Collator(images, chosen, torch.device(device))(places)
    expected = Collator(images, chosen, torch.device("cpu"))(places)
    assert {value.device.type for value in batch.values()} == {device}
    torch.testing.assert_close(batch["x0"].cpu(), expected["x0"])
    assert torch.equal(batch["labels"].cpu(), expected["labels"])
    assert float(batch["eps"].std()) == pytest.approx(1, abs=0.1)


@compiling
def test_compiling_changes_no_name_and_hardly_a_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: str):
    if device == "cpu":  # without a compiler: what is tested is what is around it
        monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    data = save_digits(tmp_path)
    made = []
    for compile in (False, True):
        output = tmp_path / str(compile)
        train(recipe(data, output, network="unet", device=device, compile=compile, dropout=0.0), console=QUIET)
        made.append(load_generator(output))
    plain, compiled = ({**one.network.state_dict()} for one in made)
    assert plain.keys() == compiled.keys()
    assert made[1].metrics["dev"]["loss"] == pytest.approx(made[0].metrics["dev"]["loss"], rel=2e-2)


@compiling
def test_an_unfinished_training_goes_on_compiled_or_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: str):
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    data = save_digits(tmp_path)
    steps = 0

    def stop(self: GenerationModel, **batch: Tensor) -> dict[str, Tensor]:
        nonlocal steps
        steps += 1
        if steps == 8:
            raise KeyboardInterrupt
        return forward(self, **batch)

    forward = GenerationModel.forward
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(GenerationModel, "forward", stop)
        train(recipe(data, tmp_path / "model", network="unet", device=device, compile=True), console=QUIET)
    train(recipe(data, tmp_path / "model", network="unet", device=device), console=QUIET)
    assert load_generator(tmp_path / "model").metrics["steps"] == 13


def test_the_loss_is_float32_where_the_network_is_bfloat16(tmp_path: Path, device: str):
    chosen = recipe("digits", tmp_path, batch_size=8)
    model = GenerationModel(TinyGAU.preset("tiny", (1, 8, 8)).to(device), chosen)
    images = read_images("digits")
    batch = Collator(images, chosen, torch.device(device))(list(EpochOrder(len(images), 8, seed=0))[:8])
    with torch.autocast(device, torch.bfloat16):
        loss = model(**batch)["loss"]
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, model(**batch)["loss"], rtol=2e-2, atol=0)
    loss.backward()
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters())


@pytest.mark.gpu
def test_no_step_of_training_waits_for_the_device(cuda: str, tmp_path: Path):
    chosen = recipe("digits", tmp_path, batch_size=8, flip=True, conditional=True)
    images = read_images("digits")
    model = GenerationModel(UNet.preset("tiny", (1, 8, 8), num_classes=10).to(cuda), chosen)
    collate, order = Collator(images, chosen, torch.device(cuda)), list(EpochOrder(len(images), 8, seed=0))
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)

    def step(places: list[Place]) -> None:
        model(**collate(places))["loss"].backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()

    step(order[:8])
    with no_waiting():
        step(order[8:16])


@pytest.mark.gpu
@compiling
def test_a_unet_is_trained_in_bfloat16_and_compiled_and_loaded_on_the_processor(cuda: str, tmp_path: Path):
    data = save_digits(tmp_path)
    changes = {"network": "unet", "batch_size": 8, "epochs": 20, "precision": "bfloat16", "learning_rate": 2e-3}
    losses = []
    for compile in (False, True):
        output = tmp_path / str(compile)
        train(recipe(data, output, device=cuda, compile=compile, num_samples=0, **changes), console=QUIET)
        read = load_generator(output)
        assert {value.device.type for value in read.network.state_dict().values()} == {"cpu"}
        losses.append(read.metrics["dev"]["loss"])
    assert max(losses) < 0.6
    assert losses[1] == pytest.approx(losses[0], rel=0.1)
