"""Which images and which noise a step takes depends on (seed, epoch, step) alone."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from kexue.diffusion.images import read_images
from kexue.training.generation.dataset import Collator, draw
from kexue.training.generation.model import GenerationModel
from kexue.training.generation.trainer import TIME_BINS, dev_losses
from kexue.training.order import EpochOrder, Place
from tests.training.generation.tiny import TinyGAU, recipe

CPU = torch.device("cpu")


def model(tmp_path: Path, **changes: object) -> GenerationModel:
    torch.manual_seed(0)
    chosen = recipe("digits", tmp_path, **changes)
    return GenerationModel(TinyGAU.preset("tiny", (1, 8, 8), 10 if chosen.conditional else 0), chosen).eval()


@given(num_images=st.integers(1, 60), batch_size=st.integers(1, 20), epoch=st.integers(0, 3))
def test_an_epoch_is_full_batches_of_different_images(num_images: int, batch_size: int, epoch: int):
    order = EpochOrder(num_images, batch_size, seed=1)
    order.set_epoch(epoch)
    places = list(order)
    assert len(places) == len(order) == num_images // batch_size * batch_size
    assert len({place.index for place in places}) == len(places)
    assert [(place.batch, place.row) for place in places] == [divmod(i, batch_size) for i in range(len(places))]
    assert {place.epoch for place in places} <= {epoch}
    assert list(order) == places


def test_epochs_differ_and_leave_out_other_images():
    order = EpochOrder(10, 8, seed=1)
    seen = []
    for epoch in range(8):
        order.set_epoch(epoch)
        seen.append([place.index for place in order])
    assert len(set(map(tuple, seen))) == 8
    assert {index for epoch in seen for index in epoch} == set(range(10))


def test_draws_are_uniform_times_and_normal_noise_and_depend_on_the_step():
    many = [draw(3, 0, batch, (64, 1, 4, 4), CPU, 0.25) for batch in range(40)]
    t = torch.stack([draws.t for draws in many])
    assert t.dtype == torch.float64
    assert t.min() > 0
    assert t.max() <= 1
    assert_close(t.sort(1).values.diff(dim=1), torch.full((40, 63), 1 / 64).double())
    assert t[:, 0].std() > 0.2
    eps = torch.stack([draws.eps for draws in many])
    assert abs(float(eps.mean())) < 0.02
    assert float(eps.var()) == pytest.approx(1, abs=0.02)
    assert torch.stack([draws.labelled for draws in many]).double().mean() == pytest.approx(0.75, abs=0.03)
    assert torch.stack([draws.mirrored for draws in many]).double().mean() == pytest.approx(0.5, abs=0.04)
    again = draw(3, 0, 7, (64, 1, 4, 4), CPU, 0.25)
    assert all(torch.equal(a, b) for a, b in zip(again, many[7], strict=True))
    assert not torch.equal(draw(3, 1, 7, (64, 1, 4, 4), CPU, 0.25).eps, again.eps)
    assert not torch.equal(draw(4, 0, 7, (64, 1, 4, 4), CPU, 0.25).eps, again.eps)


@pytest.mark.parametrize("conditional", [False, True])
def test_the_loss_of_a_batch_is_the_mean_of_its_parts_whoever_computes_them(tmp_path: Path, conditional: bool):
    trained = model(tmp_path, batch_size=8, conditional=conditional, flip=True)
    images = read_images("digits")
    collate = Collator(images, recipe("digits", tmp_path, batch_size=8, conditional=conditional, flip=True), CPU)
    order = EpochOrder(len(images), 8, seed=1)
    order.set_epoch(2)
    places = list(order)[16:24]
    whole = trained(**collate(places))["loss"]
    parts = [trained(**collate(places[start : start + 4]))["loss"] for start in (0, 4)]
    assert_close(sum(parts) / 2, whole)
    assert ("labels" in collate(places)) == conditional


def test_a_collated_image_is_the_image_in_the_numbers_of_the_network(tmp_path: Path):
    images = read_images("digits")
    order = EpochOrder(len(images), 4, seed=0)
    order.set_epoch(3)
    place = list(order)[8:12]
    chosen = recipe("digits", tmp_path, batch_size=4, conditional=True, label_dropout=0)
    batch = Collator(images, chosen, CPU)(place)
    shown = images.select([item.index for item in place])
    assert_close(batch["x0"], images.scale.encode(shown.pixels))
    assert batch["labels"].tolist() == shown.labels.tolist()
    draws = draw(chosen.seed, 3, 2, (4, 1, 8, 8), CPU, 0)
    assert torch.equal(batch["t"], draws.t)
    assert torch.equal(batch["eps"], draws.eps)


def test_half_of_the_images_are_mirrored_with_their_classes_kept(tmp_path: Path):
    images = read_images("digits").select(range(200))
    chosen = recipe("digits", tmp_path, batch_size=200, conditional=True, label_dropout=0, flip=True)
    batch = Collator(images, chosen, CPU)([Place(index, 0, 0, index) for index in range(200)])
    straight = images.scale.encode(images.pixels)
    mirrored = (batch["x0"] == straight.flip(-1)).flatten(1).all(1)
    assert 70 < mirrored.sum() < 130
    assert torch.equal(batch["x0"][~mirrored], straight[~mirrored])
    assert batch["labels"].tolist() == images.labels.tolist()


def test_the_target_of_the_loss_is_the_noise_that_was_added(tmp_path: Path):
    """A network that knows x_0 and says the noise that is in x_t has no loss."""
    trained = model(tmp_path, batch_size=6, parameterization="eps")
    x0 = torch.randn(6, 1, 8, 8)

    def knowing(x_t: torch.Tensor, t: torch.Tensor, labels: object = None) -> torch.Tensor:
        alpha, sigma = (c(t)[:, None, None, None].float() for c in (trained.schedule.alpha, trained.schedule.sigma))
        return (x_t - alpha * x0) / sigma

    trained.network.forward = knowing
    draws = draw(1, 0, 0, x0.shape, CPU, 0)
    assert float(trained(x0, draws.t, draws.eps)["loss"]) < 1e-6


def test_labels_are_dropped_as_often_as_asked_for(tmp_path: Path):
    images = read_images("digits").select(range(200))
    chosen = recipe("digits", tmp_path, batch_size=200, conditional=True, label_dropout=0.3)
    labels = Collator(images, chosen, CPU)([Place(index, 0, 0, index) for index in range(200)])["labels"]
    dropped = labels == 10
    assert 30 < dropped.sum() < 90
    assert torch.equal(labels[~dropped], torch.from_numpy(images.labels)[~dropped])


def test_the_dev_measure_is_the_same_whenever_it_is_taken_and_splits_by_time(tmp_path: Path):
    trained, dev = model(tmp_path, parameterization="eps"), read_images("digits").select(range(30))
    losses = dev_losses(trained, dev, CPU, seed=1)
    assert losses.shape == (TIME_BINS,)
    assert torch.equal(losses, dev_losses(trained, dev, CPU, seed=1))
    trained.network.forward = lambda x, t, labels=None: x * 0
    assert_close(dev_losses(trained, dev, CPU, seed=1), torch.ones(TIME_BINS).double(), atol=0.1, rtol=0)
