"""Measures of images against closed forms and brute force, and what they say of copies and of lost variety."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from kexue.diffusion.images import PixelScale
from kexue.diffusion.metrics import (
    InceptionFeatures,
    Moments,
    PixelFeatures,
    evaluate_images,
    extract_features,
    frechet_distance,
    kernel_distance,
    memorised_share,
    nearest_neighbours,
    precision_recall,
)
from kexue.diffusion.metrics.features import resize_as_tensorflow
from kexue.errors import DataError, OptionError

scipy_linalg = pytest.importorskip("scipy.linalg")


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# --- Frechet distance ---


def test_the_frechet_distance_of_diagonal_gaussians_is_its_closed_form():
    one = Moments(torch.tensor([1.0, 2.0]).double(), torch.diag(torch.tensor([4.0, 9.0]).double()), 2)
    other = Moments(torch.tensor([0.0, 0.0]).double(), torch.diag(torch.tensor([1.0, 25.0]).double()), 2)
    assert frechet_distance(one, other) == pytest.approx(1 + 4 + (2 - 1) ** 2 + (3 - 5) ** 2, abs=1e-12)


@pytest.mark.parametrize("count", [5, 200])
def test_the_frechet_distance_is_that_of_the_matrix_square_root_also_without_full_rank(count: int):
    x, y = normal(count, 20) @ normal(20, 20, seed=2), normal(count, 20, seed=1) + 0.3
    one, other = Moments.of(x), Moments.of(y)
    jitter = 1e-9 * np.eye(20)
    root = scipy_linalg.sqrtm((one.covariance.numpy() + jitter) @ (other.covariance.numpy() + jitter))
    expected = (one.mean - other.mean).square().sum() + one.covariance.trace() + other.covariance.trace()
    assert frechet_distance(one, other) == pytest.approx(float(expected - 2 * np.trace(root.real)), rel=1e-4)
    assert frechet_distance(one, other) == pytest.approx(frechet_distance(other, one), rel=1e-6)


def test_a_set_is_at_no_distance_from_itself():
    moments = Moments.of(normal(30, 50))
    assert frechet_distance(moments, moments) == pytest.approx(0, abs=1e-5)


def test_the_covariance_is_that_of_numpy_and_survives_a_file(tmp_path: Path):
    x = normal(40, 6) + 3
    moments = Moments.of(x.float())
    torch.testing.assert_close(moments.covariance, torch.from_numpy(np.cov(x.numpy().T)), atol=1e-6, rtol=1e-6)
    moments.save(tmp_path / "real.npz")
    again = Moments.load(tmp_path / "real.npz")
    assert torch.equal(again.mean, moments.mean)
    assert torch.equal(again.covariance, moments.covariance)
    assert again.count == 40


def test_what_are_no_moments_is_refused(tmp_path: Path):
    np.savez(tmp_path / "x.npz", mean=np.zeros(3))
    (tmp_path / "y.npz").write_text("no")
    for name in ("x.npz", "y.npz", "z.npz"):
        with pytest.raises(DataError, match="is no npz file with mu and sigma"):
            Moments.load(tmp_path / name)
    with pytest.raises(OptionError, match="of 3 and of 4 numbers"):
        frechet_distance(Moments.of(normal(5, 3)), Moments.of(normal(5, 4)))
    with pytest.raises(OptionError, match="at least 2 images, got 1"):
        Moments.of(normal(1, 3))


# --- kernel distance ---


def brute_force_kernel_distance(x: Tensor, y: Tensor) -> float:
    def kernel(a: Tensor, b: Tensor) -> float:
        return float((a @ b / len(a) + 1) ** 3)

    def within(z: Tensor) -> float:
        pairs = [kernel(z[i], z[j]) for i in range(len(z)) for j in range(len(z)) if i != j]
        return sum(pairs) / len(pairs)

    across = [kernel(a, b) for a in x for b in y]
    return within(x) + within(y) - 2 * sum(across) / len(across)


@given(n=st.integers(3, 7), m=st.integers(3, 7), dim=st.integers(1, 5), seed=st.integers(0, 100))
def test_the_kernel_distance_and_its_error_are_those_of_brute_force(n: int, m: int, dim: int, seed: int):
    x, y = normal(n, dim, seed=seed), normal(m, dim, seed=seed + 1) + 0.5
    found = kernel_distance(x, y)
    assert found.value == pytest.approx(brute_force_kernel_distance(x, y), rel=1e-9, abs=1e-12)
    without_x = [brute_force_kernel_distance(torch.cat([x[:i], x[i + 1 :]]), y) for i in range(n)]
    without_y = [brute_force_kernel_distance(x, torch.cat([y[:i], y[i + 1 :]])) for i in range(m)]
    variance = (n - 1) * np.var(without_x) + (m - 1) * np.var(without_y)
    assert found.standard_error == pytest.approx(np.sqrt(variance), rel=1e-8, abs=1e-12)


def test_blocks_do_not_change_the_kernel_distance(monkeypatch: pytest.MonkeyPatch):
    x, y = normal(23, 4), normal(17, 4, seed=1)
    whole = kernel_distance(x, y)
    monkeypatch.setattr("kexue.diffusion.metrics.kernel.BLOCK", 5)
    assert kernel_distance(x, y) == pytest.approx(whole, rel=1e-12)


def test_the_kernel_distance_has_no_bias_and_its_standard_error_is_honest():
    draws = [kernel_distance(normal(60, 4, seed=s), 1.3 * normal(60, 4, seed=s + 5000) + 0.3) for s in range(300)]
    values, errors = np.array(draws).T
    many = kernel_distance(normal(6000, 4, seed=7), 1.3 * normal(6000, 4, seed=8) + 0.3)
    assert values.mean() == pytest.approx(many.value, abs=3 * (values.std() / np.sqrt(300) + many.standard_error))
    assert np.sqrt((errors**2).mean()) == pytest.approx(values.std(), rel=0.25)


def test_equal_laws_are_at_no_distance_and_the_error_is_not_too_small():
    draws = [kernel_distance(normal(40, 4, seed=s), normal(40, 4, seed=s + 5000)) for s in range(300)]
    values, errors = np.array(draws).T
    assert values.mean() == pytest.approx(0, abs=3 * values.std() / np.sqrt(300))
    assert values.std() < np.sqrt((errors**2).mean()) < 2 * values.std()


def test_two_images_have_no_kernel_distance():
    with pytest.raises(OptionError, match="at least 3 images on each side, got 2 and 5"):
        kernel_distance(normal(2, 3), normal(5, 3))


# --- precision and recall ---


@given(n=st.integers(5, 12), m=st.integers(5, 12), k=st.integers(1, 3), seed=st.integers(0, 50))
def test_precision_and_recall_are_those_of_brute_force(n: int, m: int, k: int, seed: int):
    x, y = normal(n, 3, seed=seed), normal(m, 3, seed=seed + 1) + 0.5

    def share(points: Tensor, centres: Tensor) -> float:
        radii = [sorted(float((c - o).norm()) for o in centres)[k] for c in centres]
        near = [any((p - c).norm() <= r for c, r in zip(centres, radii, strict=True)) for p in points]
        return sum(near) / len(near)

    assert precision_recall(x, y, k) == pytest.approx((share(x, y), share(y, x)))


def test_a_generator_that_shows_one_thing_well_has_precision_without_recall():
    left, right = normal(200, 2), normal(200, 2, seed=1) + 50
    found = precision_recall(normal(200, 2, seed=2) * 0.5, torch.cat([left, right]))
    assert found.precision > 0.95
    assert found.recall < 0.5


def test_a_generator_of_noise_has_neither():
    found = precision_recall(normal(100, 8) + 100, normal(100, 8, seed=1))
    assert found == (0, 0)


def test_too_few_images_for_their_neighbours_are_refused():
    with pytest.raises(OptionError, match="need more than 3 images, got 3 and 9"):
        precision_recall(normal(3, 2), normal(9, 2))


# --- neighbours ---


def test_the_nearest_training_images_are_those_of_brute_force():
    x, training = normal(9, 5), normal(30, 5, seed=1)
    found = nearest_neighbours(x, training, k=3)
    distances = (x[:, None] - training).norm(dim=-1)
    torch.testing.assert_close(found.distances, distances.sort(1).values[:, :3])
    assert torch.equal(found.indices, distances.argsort(1)[:, :3])
    with pytest.raises(OptionError, match="31 nearest of 30"):
        nearest_neighbours(x, training, k=31)


def test_copies_are_exposed_and_new_images_are_not():
    training, held_out, new = (normal(1000, 6, seed=seed) for seed in range(3))
    assert memorised_share(training[:300] + 1e-3 * normal(300, 6, seed=9), training, held_out) == 1
    assert memorised_share(new, training, held_out) < 0.04


def test_the_evaluation_names_every_measure():
    training, held_out, new = (normal(50, 4, seed=seed) for seed in range(3))
    evaluation = evaluate_images(new, held_out, training)
    assert evaluation.frechet_distance == frechet_distance(Moments.of(new), Moments.of(held_out))
    assert (evaluation.kernel_distance, evaluation.kernel_distance_error) == kernel_distance(new, held_out)
    assert (evaluation.precision, evaluation.recall) == precision_recall(new, held_out)
    assert set(evaluation.to_json()) >= {"num_generated", "num_real", "memorised"}
    assert "memorised" in str(evaluation)
    assert "memorised" not in str(evaluate_images(new, held_out))


# --- features ---


def test_pixels_are_their_own_features_in_any_batches():
    pixels = np.random.default_rng(0).integers(0, 256, (5, 3, 4, 3), dtype=np.uint8)
    found = extract_features(PixelFeatures(), pixels, PixelScale(), batch_size=2)
    assert found.shape == (5, 36)
    assert found.dtype == torch.float64
    torch.testing.assert_close(found.float(), PixelScale().encode(pixels).flatten(1))


def test_features_that_are_no_numbers_are_refused():
    with pytest.raises(DataError, match="not finite"):
        extract_features(lambda x: x.flatten(1) / 0, np.ones((2, 2, 2, 1), np.uint8), PixelScale())


@pytest.mark.parametrize("length", [8, 28, 32, 299, 400])
def test_images_are_resized_by_tensorflows_rule(length: int):
    x = normal(2, 3, length, length)
    i, j, side = 7, 200, 299
    y, z = i * length / side, j * length / side
    a, b = int(y), int(z)
    c, d = min(a + 1, length - 1), min(b + 1, length - 1)
    u, v = y - a, z - b
    expected = (1 - u) * (1 - v) * x[..., a, b] + (1 - u) * v * x[..., a, d]
    expected = expected + u * (1 - v) * x[..., c, b] + u * v * x[..., c, d]
    torch.testing.assert_close(resize_as_tensorflow(x, side)[..., i, j], expected)


@pytest.mark.filterwarnings("ignore:.*torch.jit.*is deprecated:DeprecationWarning")
def test_a_torchscript_file_sees_pixels_as_inception_did(tmp_path: Path):
    class Ends(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.stack(
                [x.amin((1, 2, 3)), x.amax((1, 2, 3)), x.sum((1, 2, 3)) * 0 + x.shape[1] * x.shape[2]], 1
            )

    path = tmp_path / "ends.pt"
    torch.jit.save(torch.jit.trace(Ends(), torch.zeros(1, 3, 299, 299)), path)
    pixels = np.array([0, 255, 0, 255], np.uint8).reshape(1, 2, 2, 1)
    features = extract_features(InceptionFeatures.load(path), pixels, PixelScale())
    torch.testing.assert_close(features[0], torch.tensor([-1, 127 / 128, 3 * 299]).double())


def test_a_file_that_is_no_feature_network_is_refused(tmp_path: Path):
    (tmp_path / "x.pt").write_text("no network")
    with pytest.raises(OptionError, match="is not a TorchScript file"):
        InceptionFeatures.load(tmp_path / "x.pt")
    with pytest.raises(OptionError, match="no such file"):
        InceptionFeatures.load(tmp_path / "y.pt")
