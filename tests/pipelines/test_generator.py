"""A generator: the same images for the same seeds in any batches, and every function of it on a network of classes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from kexue.benchmarks.measuring.memory import peak_bytes
from kexue.diffusion.checkpoint import GeneratorCheckpoint, save_generator
from kexue.diffusion.denoisers import GAUDenoiser
from kexue.diffusion.grids import UNIFORM
from kexue.diffusion.images import ImageSet, PixelScale, read_images, write_npz
from kexue.diffusion.prediction import Eps, V
from kexue.diffusion.randomness import seeded
from kexue.diffusion.samplers import DDIM, SAMPLERS, Adaptive, Heun
from kexue.diffusion.trace import Hutchinson
from kexue.errors import CheckpointError, OptionError
from kexue.pipelines.drawing import draw_to_file
from kexue.pipelines.generator import Condition, Generator
from kexue.pipelines.image_evaluation import choose_images, evaluate_generator
from tests.training.generation.tiny import SIZES, values


def make(folder: Path, num_classes: int = 3, recipe: dict[str, Any] | None = None) -> Path:
    torch.manual_seed(0)
    network = GAUDenoiser.from_config(GAUDenoiser(SIZES).config | {"num_classes": num_classes})
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    names = ("ant", "bee", "cat")[:num_classes]
    checkpoint = GeneratorCheckpoint(
        network, parameterization=V(), scale=PixelScale(16), label_names=names, recipe=recipe or {}
    )
    save_generator(checkpoint, folder)
    return folder


@pytest.fixture(scope="module")
def generator(tmp_path_factory: pytest.TempPathFactory) -> Generator:
    return Generator.from_pretrained(make(tmp_path_factory.mktemp("generator")), device="cpu")


@pytest.fixture(scope="module")
def images(generator: Generator) -> torch.Tensor:
    return generator.sample(3, num_steps=5, generator=seeded(range(3)))


def test_an_image_depends_on_its_seed_and_not_on_the_batch(generator: Generator):
    for sampler in (DDIM(), DDIM(eta=1.0)):
        options = {"sampler": sampler, "num_steps": 4}
        whole = generator.sample(5, generator=seeded(range(5)), condition=Condition(["ant", 1, 2, "bee", 0]), **options)
        parts = generator.sample(
            5, generator=seeded(range(5)), condition=Condition(["ant", 1, 2, "bee", 0]), batch_size=2, **options
        )
        alone = generator.sample(1, generator=seeded([3]), condition=Condition("bee"), **options)
        assert whole.shape == (5, 1, 8, 8)
        torch.testing.assert_close(parts, whole, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(alone, whole[3:4], atol=1e-4, rtol=1e-4)


def test_a_stream_gives_the_same_images_a_batch_at_a_time(generator: Generator):
    condition = Condition(["ant", "bee", "cat", "bee", "ant"], guidance=2.0)
    options = {"num_steps": 3, "sampler": DDIM(eta=1.0), "condition": condition, "batch_size": 2}
    parts = list(generator.stream(5, generator=seeded(range(5)), **options))
    assert [len(part) for part in parts] == [2, 2, 1]
    assert torch.equal(torch.cat(parts), generator.sample(5, generator=seeded(range(5)), **options))
    with pytest.raises(OptionError, match="one for each of 4 images"):
        next(generator.stream(4, **options))


def test_the_memory_of_a_stream_does_not_grow_with_the_images(generator: Generator):
    def peak(num: int) -> int:
        def run() -> None:
            for _ in generator.stream(num, num_steps=2, batch_size=4):
                pass

        return peak_bytes(run)

    assert peak(24) == pytest.approx(peak(8), rel=0.05)


@pytest.mark.parametrize("name", SAMPLERS)
def test_every_sampler_draws(generator: Generator, name: str):
    sampler = Adaptive(1e-1, 1e-1) if name == "adaptive" else SAMPLERS[name]()
    drawn = generator.sample(2, sampler=sampler, num_steps=4, generator=torch.Generator().manual_seed(0))
    assert drawn.isfinite().all()
    assert generator.pixels(drawn).shape == (2, 8, 8, 1)


def test_a_network_of_eps_is_walked_in_equal_times_by_every_verb(generator: Generator, monkeypatch: pytest.MonkeyPatch):
    x, mask = 0.3 * generator.noise(2, seeded([0, 1])), torch.arange(8) < 4

    def drawn(**grid: Any) -> list[torch.Tensor]:
        options = {"num_steps": 4, **grid}
        return [
            generator.sample(noise=x, **options),
            generator.encode(x, **options),
            generator.image_to_image(x, generator=seeded([0, 1]), **options),
            generator.inpaint(x, mask, repeats=1, generator=seeded([0, 1]), **options),
        ]

    own, uniform = drawn(), drawn(grid=UNIFORM)
    assert not any(torch.equal(a, b) for a, b in zip(own, uniform, strict=True))
    monkeypatch.setattr(generator, "parameterization", Eps())
    of_eps, uniform = drawn(), drawn(grid=UNIFORM)
    assert all(torch.equal(a, b) for a, b in zip(of_eps, uniform, strict=True))


def test_guidance_moves_between_any_class_and_beyond_the_class(generator: Generator):
    x, t = torch.randn(2, 1, 8, 8), torch.tensor([0.3, 0.8])
    plain, of_class, at_0, at_1, at_3 = (
        generator.denoiser(condition, 2)(x, t).value
        for condition in (
            Condition(),
            Condition("bee"),
            Condition("bee", guidance=0.0),
            Condition(torch.tensor([1, 1]), guidance=1.0),
            Condition(1, guidance=3.0),
        )
    )
    torch.testing.assert_close(at_0, plain)
    torch.testing.assert_close(at_1, of_class)
    torch.testing.assert_close(at_3, plain + 3 * (of_class - plain), atol=1e-5, rtol=1e-5)
    assert not torch.allclose(plain, of_class)


def test_clipping_keeps_the_images_within_the_range(generator: Generator):
    free, clipped = (
        generator.sample(4, num_steps=4, generator=seeded(range(4)), condition=Condition(clip=clip))
        for clip in (False, True)
    )
    assert free.abs().max() > 1
    assert clipped.abs().max() <= 1 + 1e-6


@pytest.mark.parametrize(
    ("labels", "message"),
    [("ent", "Did you mean 'ant'"), (3, "from 0 to 2, got 3"), (["ant"], "one for each of 2 images; got 1")],
)
def test_a_class_that_does_not_exist_is_refused(generator: Generator, labels: Any, message: str):
    with pytest.raises(OptionError, match=message):
        generator.sample(2, num_steps=1, condition=Condition(labels))


def test_a_generator_without_classes_takes_no_labels(tmp_path: Path):
    plain = Generator.from_pretrained(make(tmp_path, num_classes=0), device="cpu")
    with pytest.raises(OptionError, match="takes no labels"):
        plain.sample(1, num_steps=1, condition=Condition(0))


def test_another_number_than_there_is_noise_for_is_refused(generator: Generator):
    noise = generator.noise(3)
    assert torch.equal(*(generator.sample(num, noise=noise, num_steps=1) for num in (None, 3)))
    with pytest.raises(OptionError, match="noise for 3 images is given, but num is 2"):
        generator.sample(2, noise=noise, num_steps=1)


def test_what_is_encoded_is_drawn_again(generator: Generator, images: torch.Tensor):
    noise = generator.encode(images, sampler=Heun(), num_steps=60)
    again = generator.sample(noise=noise, sampler=Heun(), num_steps=60)
    torch.testing.assert_close(again, images, atol=0.05 * float(images.std()), rtol=0)


def test_interpolation_begins_and_ends_at_the_two_images(generator: Generator):
    noise = generator.noise(2, seeded([5, 6]))
    path = generator.interpolate(noise[0], noise[1], 4, num_steps=4)
    assert path.shape == (4, 1, 8, 8)
    torch.testing.assert_close(path[[0, -1]], generator.sample(noise=noise, num_steps=4), atol=1e-3, rtol=1e-3)


def test_inpainting_keeps_what_is_known_and_paints_the_rest(generator: Generator, images: torch.Tensor):
    mask = torch.zeros(8, 8, dtype=torch.bool)
    mask[:, :4] = True
    painted = generator.inpaint(images, mask, num_steps=4, repeats=2, generator=seeded(range(3)), batch_size=2)
    assert torch.equal(painted[..., :4], images[..., :4])
    assert not torch.allclose(painted[..., 4:], images[..., 4:])


def test_image_to_image_from_a_little_noise_is_nearly_the_image(generator: Generator, images: torch.Tensor):
    near, far = (
        generator.image_to_image(images, start=start, num_steps=5, generator=seeded([7, 8, 9])) for start in (0.01, 0.9)
    )
    assert (near - images).abs().mean() < 0.5 * (far - images).abs().mean()


def test_the_likelihood_counts_the_levels_of_the_pixels(generator: Generator):
    pixels = read_images("digits").pixels[:2]
    x = generator.scale.encode(pixels)
    found = generator.log_likelihood(x, labels=[0, 1], trace=Hutchinson(2), generator=torch.Generator().manual_seed(0))
    assert found.bins == PixelScale(16).bins
    assert found.bits_per_dim.isfinite().all()
    bound = generator.variational_bound(x, num_steps=20, labels=[0, 1])
    assert bound.total.shape == (2,)


def test_half_precision_changes_the_images_a_little(generator: Generator, tmp_path: Path):
    half = Generator.from_pretrained(make(tmp_path), device="cpu", dtype="bfloat16")
    exact, rough = (each.sample(2, num_steps=4, generator=seeded([0, 1])) for each in (generator, half))
    assert rough.dtype == torch.float32
    assert 0 < (exact - rough).abs().mean() < 0.1 * exact.std()
    with pytest.raises(OptionError, match="unknown dtype 'float8'"):
        Generator.from_pretrained(tmp_path, dtype="float8")  # type: ignore[arg-type]


def test_pixels_and_back(generator: Generator, images: torch.Tensor):
    pixels = generator.pixels(images)
    assert pixels.dtype == np.uint8
    assert (generator.pixels(generator.from_pixels(pixels)) == pixels).all()


def test_a_folder_that_is_no_generator_is_refused(tmp_path: Path):
    with pytest.raises(CheckpointError, match="no such folder"):
        Generator.from_pretrained(tmp_path / "nothing")


# --- files and measures ---


def test_drawn_images_are_written_as_the_name_asks(generator: Generator, tmp_path: Path):
    options: dict[str, Any] = {"num": 3, "sampler": DDIM(), "num_steps": 3, "seed": 7}
    pixels = draw_to_file(generator, tmp_path / "x.npz", **options)
    assert (read_images(tmp_path / "x.npz").pixels == pixels).all()
    for name in ("x.png", "x.gif", "folder"):
        again = draw_to_file(generator, tmp_path / name, batch_size=2, **options)
        assert (np.abs(again.astype(int) - pixels) <= 1).all()
        assert (tmp_path / name).exists()
    assert len(list((tmp_path / "folder").iterdir())) == 3
    with pytest.raises(OptionError, match=r"cannot write images as 'x\.jpg'"):
        draw_to_file(generator, tmp_path / "x.jpg", **options)


def test_of_the_source_that_was_trained_on_the_held_out_images_are_the_real_ones(tmp_path: Path):
    folder = make(tmp_path / "model", recipe=values("digits", tmp_path, job="generation"))
    trained = Generator.from_pretrained(folder, device="cpu")
    real, training = choose_images(trained, "digits")
    assert training is not None
    assert (len(real), len(training)) == (179, 1618)
    write_npz(tmp_path / "other.npz", read_images("digits").pixels[:20], max_value=16)
    other, training = choose_images(trained, str(tmp_path / "other.npz"))
    assert training is not None
    assert (len(other), len(training)) == (20, 1618)


def test_a_generator_that_copies_its_training_images_is_exposed(generator: Generator, monkeypatch: pytest.MonkeyPatch):
    digits = read_images("digits")
    training, real = digits.split(300)
    copies = generator.scale.encode(training.pixels[:40])
    monkeypatch.setattr(generator, "sample", lambda num, **options: copies[:num])
    report = evaluate_generator(generator, real, training, num=40, sampler=DDIM(), num_steps=1)
    assert report.values["memorised"] == 1
    assert report.values["precision"] > 0.5
    assert report.neighbours is not None
    assert "memorised         100.0%" in "\n".join(report.lines())


def test_images_of_other_levels_are_refused(generator: Generator):
    other = ImageSet(np.zeros((9, 8, 8, 1), np.uint8), tuple("abcdefghi"))
    with pytest.raises(OptionError, match="draws pixels of PixelScale"):
        evaluate_generator(generator, other, None, num=5, sampler=DDIM(), num_steps=1)


# --- on a GPU ---


def test_an_image_of_a_seed_is_the_same_on_every_device(generator: Generator, tmp_path: Path, device: str):
    there = Generator.from_pretrained(make(tmp_path / "model"), device=device)
    for sampler in (DDIM(), DDIM(eta=1.0)):
        options = {"sampler": sampler, "num_steps": 4, "condition": Condition(["ant", "bee", "cat"], guidance=2)}
        expected = generator.sample(3, generator=seeded(range(3)), **options)
        drawn = there.sample(3, generator=seeded(range(3)), batch_size=2, **options)
        assert drawn.device.type == device
        torch.testing.assert_close(drawn.cpu(), expected, rtol=1e-2, atol=1e-2)
        assert np.array_equal(there.pixels(drawn).shape, (3, 8, 8, 1))


def test_images_are_encoded_and_measured_where_the_generator_is(tmp_path: Path, device: str):
    there = Generator.from_pretrained(make(tmp_path / "model"), device=device)
    images = there.sample(2, num_steps=3, generator=seeded(range(2))).cpu()
    mask = torch.arange(8) < 4
    assert there.encode(images, num_steps=5).device.type == device
    assert there.inpaint(images, mask, repeats=1, num_steps=2, generator=seeded(range(2))).device.type == device
    assert there.image_to_image(images, num_steps=2, generator=seeded(range(2))).device.type == device
    likelihood = there.log_likelihood(images, trace=Hutchinson(2), rtol=1e-2, atol=1e-2)
    assert likelihood.bits_per_dim.isfinite().all()
    halves = Generator.from_pretrained(tmp_path / "model", device=device, dtype="bfloat16")
    assert halves.sample(2, num_steps=3, generator=seeded(range(2))).dtype == torch.float32
