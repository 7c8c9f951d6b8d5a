"""The table of samplers of an image model: what is counted, drawn, remembered and concluded."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from kexue.benchmarks.image_samplers import (
    LINES,
    REAL,
    Line,
    Memory,
    Painter,
    Qualities,
    Quality,
    _missing,
    _options,
    fewest_calls,
    main,
)
from kexue.diffusion.images import read_images
from kexue.diffusion.metrics import Moments, frechet_distance, kernel_distance
from kexue.diffusion.prediction import Prediction
from kexue.diffusion.samplers import DDIM
from kexue.diffusion.sampling import sample
from kexue.diffusion.schedules import LinearVP
from kexue.errors import OptionError
from kexue.pipelines.generator import Generator
from tests.pipelines.test_generator import make


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("model"), num_classes=0)


@pytest.mark.parametrize("line", LINES.values(), ids=LINES)
@pytest.mark.parametrize("calls", [10, 15, 100])
def test_the_calls_of_a_line_are_those_that_reach_the_network(line: Line, calls: int):
    count = 0

    def denoise(x_t: Tensor, t: Tensor) -> Prediction:
        nonlocal count
        count += 1
        return Prediction.from_v(0 * x_t, x_t, 0.8, 0.6)

    steps = line.steps(calls)
    sample(denoise, LinearVP(), torch.randn(1, 2), line.sampler, steps)
    assert count == line.calls(steps)
    assert calls - 1 <= count <= calls


def test_all_samplers_begin_with_the_same_noise_in_batches_of_one_size(model: Path):
    painter = Painter(Generator.from_pretrained(model, device="cpu"), num=7, most=3, seed=1)
    assert (painter.batches, painter.batch) == (3, 3)
    assert torch.equal(*(painter.generator.noise(3, painter._chance(2)) for _ in range(2)))
    assert not torch.equal(*(painter.generator.noise(3, painter._chance(index)) for index in (0, 1)))
    one, other = (painter.draw(DDIM(), 3, None)[0] for _ in range(2))
    assert one.shape == (7, 8, 8, 1)
    assert np.array_equal(one, other)


def run(model: Path, output: Path, *more: str) -> dict[str, dict[str, dict[str, float]]]:
    main([str(model), "digits", "--num", "12", "--reference", "20", "--device", "cpu", "--output", str(output), *more])
    return json.loads(output.read_text())["rows"] if output.exists() else {}


def test_a_stopped_table_goes_on_with_the_same_numbers(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    output = tmp_path / "table.json"
    lines = ("--rows", "eta_0", "analytic", "predictor_corrector", "--calls")
    assert not run(model, output, *lines, "3", "--seconds", "0")
    assert "time is up" in capsys.readouterr().out
    first = run(model, output, *lines, "3", "--pictures", str(tmp_path / "pictures"))
    assert len(read_images(tmp_path / "pictures")) == 3
    both = run(model, output, *lines, "3", "5")
    assert {name: set(line) for name, line in both.items()} == {name: {"3", "5"} for name in first}
    assert all(both[name]["3"] == first[name]["3"] for name in first)
    again = run(model, tmp_path / "again.json", *lines, "5")
    for name, line in again.items():
        assert {**line["5"], "seconds": 0} == {**both[name]["5"], "seconds": 0}
    with pytest.raises(OptionError, match="measured with another num"):
        run(model, output, "--num", "13")


def test_real_images_are_looked_at_once_under_the_same_conditions(tmp_path: Path):
    conditions = {"data": "digits", "reference": 20, "seed": 0, "features": "pixels", "num": 12}
    first, other = torch.randn(20, 3, dtype=torch.float64), torch.randn(20, 3, dtype=torch.float64)

    def features(measured: Tensor, **changed: object) -> Tensor:
        return Memory(tmp_path / "table.json", conditions | changed).real_features(lambda: measured)

    assert torch.equal(features(first), first)
    assert torch.equal(features(other, num=13), first)  # which says nothing of the real images
    for key in REAL:
        fresh = torch.randn(20, 3, dtype=torch.float64)
        assert torch.equal(features(fresh, **{key: 7}), fresh)
    assert torch.equal(features(other), other)  # the last conditions were others


def test_single_numbers_come_first_and_whole_lines_from_the_cheap_to_the_dear():
    options = _options(["m", "d", "--calls", "20", "5", "--rows", "adams", "eta_0", "eta_0:20", "sigma_hat:7"])
    single = [("eta_0", 20), ("sigma_hat", 7)]
    assert _missing(options, {}) == [*single, ("adams", 5), ("eta_0", 5), ("adams", 20)]
    known = {"eta_0": dict.fromkeys((5, 20)), "adams": {}}
    assert _missing(options, known) == [("sigma_hat", 7), ("adams", 5), ("adams", 20)]


def test_a_misspelt_line_is_answered_with_the_right_one(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        _options(["m", "d", "--rows", "adam:5"])
    assert "Did you mean 'adams'" in capsys.readouterr().err


def test_the_numbers_are_those_of_the_metrics_on_the_images_drawn(model: Path, tmp_path: Path):
    row = run(model, tmp_path / "table.json", "--rows", "eta_1", "--calls", "4")["eta_1"]["4"]
    generator = Generator.from_pretrained(model, device="cpu")
    pixels, _ = Painter(generator, num=12, most=500, seed=0).draw(DDIM(eta=1.0), 4, None)
    real = read_images("digits").pixels[np.random.default_rng(0).permutation(1797)[:20]]
    found, gold = (generator.scale.encode(part).flatten(1).double() for part in (pixels, real))
    assert row["fid"] == pytest.approx(frechet_distance(Moments.of(found), Moments.of(gold)), rel=1e-6)
    assert (row["kid"], row["kid_error"]) == pytest.approx(tuple(kernel_distance(found, gold)))
    assert (row["calls"], row["steps"]) == (4, 4)


def test_as_good_is_within_one_standard_error_of_the_full_walk():
    def quality(calls: int, kid: float) -> Quality:
        return Quality(calls, calls, 0.0, kid, 0.1, 0.0)

    full = quality(1000, 1.0)
    qualities: Qualities = {
        "eta_0": {10: quality(10, 1.11), 20: quality(20, 1.09), 1000: full},
        "adams": {15: quality(15, 1.1), 20: quality(20, 0.2)},
    }
    assert fewest_calls(qualities, full) == (15, "adams")
    assert fewest_calls({"eta_0": {1000: full}}, full) == (1000, "eta_0")
