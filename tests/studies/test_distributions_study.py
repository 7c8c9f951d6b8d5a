"""The study of archives/9085: its parts measure what they say, and the whole writes its page."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from kexue.distributions import NOISES
from kexue.errors import DataError, OptionError
from kexue.studies import STUDIES, StudyOptions, run_study
from kexue.studies.distributions import attention, classification, cost, data, pictures, properties, quadrature
from kexue.studies.distributions.contenders import Contender, contenders, scaled

SOFTMAX = contenders()[0]


def by_name(name: str) -> Contender:
    return next(contender for contender in contenders() if contender.name == name)


def test_every_law_takes_part_and_is_as_wide_as_gumbel_in_its_middle_half():
    assert {name.replace("_", " ") for name in NOISES} < {contender.name for contender in contenders()}
    quartiles = torch.tensor([0.25, 0.75], dtype=torch.float64)
    widths = [scaled(law).icdf(quartiles).diff().item() for law in NOISES.values()]
    assert widths == pytest.approx([widths[0]] * len(widths))


@pytest.mark.parametrize("contender", contenders(), ids=lambda contender: contender.name)
def test_each_contender_has_a_map_and_a_loss_with_a_gradient(contender: Contender):
    loc = torch.randn(4, 5, generator=torch.Generator().manual_seed(0)).requires_grad_()
    assert_close(contender.probs(loc).sum(-1), torch.ones(4))
    contender.loss(loc, torch.arange(4)).sum().backward()
    assert loc.grad is not None and loc.grad.abs().sum() > 0


def test_the_digits_are_split_into_disjoint_parts():
    split = data.digits()
    assert split.train[0].shape == (1297, 64) and split.test[0].shape == (500, 64)
    assert split.train[0].min() >= 0 and split.train[0].max() <= 1
    assert set(split.test[1].tolist()) == set(range(10))


def write_idx(path: Path, values: np.ndarray) -> None:
    header = np.array([0x0800 | 3, *values.shape], dtype=">i4").tobytes()
    path.write_bytes(gzip.compress(header + values.astype(np.uint8).tobytes()))


def test_fashion_mnist_is_read_from_its_four_files(tmp_path: Path):
    pixels = np.arange(2 * 784).reshape(2, 28, 28) % 256
    for part in ("train", "t10k"):
        write_idx(tmp_path / f"{part}-images-idx3-ubyte.gz", pixels)
        write_idx(tmp_path / f"{part}-labels-idx1-ubyte.gz", np.array([3, 9]))
    split = data.fashion_mnist(tmp_path, num_train=1)
    assert split.train[1].tolist() == [3] and split.test[1].tolist() == [3, 9]
    assert_close(split.test[0], torch.from_numpy(pixels.reshape(2, 784) / 255).float())


def test_a_damaged_file_of_pictures_is_named(tmp_path: Path):
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(b"no gzip")
    with pytest.raises(DataError, match="train-images"):
        data.fashion_mnist(tmp_path)


def test_webnlg_gives_one_example_for_each_triple_and_skips_predicates_it_never_saw(tmp_path: Path):
    def record(text: str, *triples: list[str]) -> dict:
        return {"text": text, "triple_list": list(triples)}

    train = [record("Ann leads Acme .", ["Ann", "leads", "Acme"]), record("Bob leads Ko .", ["Bob", "leads", "Ko"])]
    test = [record("Acme owns Ko .", ["Acme", "owns", "Ko"], ["Ko", "leads", "Acme"])]
    (tmp_path / "train_triples.json").write_text(json.dumps(train))
    (tmp_path / "test_triples.json").write_text(json.dumps(test))
    split = data.webnlg(tmp_path)
    assert split.num_classes == 1 and len(split.train[1]) == 2 and split.test[1].tolist() == [0]
    assert split.num_features == 3  # "leads" and "." in the text, "leads" between the entities


def test_training_learns_and_softmax_and_gumbel_are_the_same_network():
    split, training = data.digits(), classification.Training(epochs=3)
    outcomes = classification.compare([SOFTMAX, by_name("gumbel")], split, training, [0])
    (softmax,), (gumbel,) = outcomes["softmax"], outcomes["gumbel"]
    assert softmax.accuracy > 0.7 and softmax.zeros == 0 and softmax.seconds > 0
    assert gumbel.accuracy == pytest.approx(softmax.accuracy, abs=0.01)
    assert gumbel.calibration_error == pytest.approx(softmax.calibration_error, abs=0.01)


def test_the_item_to_be_found_is_the_largest_one():
    items, largest, target = attention.draw_items(50, 8, torch.Generator().manual_seed(0))
    assert items.shape == (50, 8, 1 + attention.NUM_CLASSES)
    assert_close(items[..., 0].amax(-1), items[torch.arange(50), largest, 0])
    assert_close(items[torch.arange(50), largest, 1:].argmax(-1), target)


def test_attention_is_measured_at_every_length():
    training = attention.AttentionTraining(steps=200, lengths=(4, 32), length=4, num_tests=200)
    (outcome,) = attention.compare([by_name("sparsemax")], training, [0])["sparsemax"]
    assert list(outcome) == [4, 32]
    assert outcome[4].accuracy > 0.5 and 0 < outcome[32].focus < 1 and outcome[32].zeros > 0.3


def test_costs_are_multiples_of_the_first_contenders():
    costs, seconds = cost.relative_costs([SOFTMAX, by_name("sparsemax")], (8, 5), 2, 0)
    assert costs["softmax"] == 1 and costs["sparsemax"] > 0 and seconds > 0


def test_the_articles_quadrature_loses_four_tenths_of_a_hundred_equal_classes():
    (row,) = quadrature.errors([(100, 100)], seed=0)
    assert row.sum_of_equal == pytest.approx(0.590, abs=1e-3)  # n mean(t^(n-1)) over t = k / 101
    assert row.error_of_drawn > 1e-4


def test_what_holds_for_every_law_is_measured_on_each_and_bounded_noise_alone_gives_equal_probabilities():
    found = properties.measure(2, 8, seed=0)
    assert found.laws.keys() == {properties.title(name) for name in NOISES}
    for law in found.laws.values():
        assert max(law.sum_error, law.fall, law.shift_error) < 1e-12
    assert {name for name, law in found.laws.items() if law.ties} == {"uniform", "triangular"}
    assert found.softmax_error < 1e-12
    assert all(1e-7 < error < 1e-4 for error in found.closed_errors.values())


def test_the_plane_of_three_locations_has_no_common_part():
    loc = pictures.locations(2.0, 5)
    assert_close(loc.sum(-1), torch.zeros(5, 5).double(), atol=1e-12, rtol=0)
    assert loc[-1, 2].argmax() == 0 and loc[0, 0].argmax() == 1 and loc[0, -1].argmax() == 2


def test_pictures_are_drawn(tmp_path: Path):
    pytest.importorskip("matplotlib")
    pictures.draw_maps([SOFTMAX, by_name("sparsemax")], tmp_path / "maps.png", size=9)
    pictures.draw_focus({"softmax": {16: 0.9, 64: 0.5}}, tmp_path / "focus.png")
    assert all((tmp_path / name).read_bytes().startswith(b"\x89PNG") for name in ("maps.png", "focus.png"))


@pytest.mark.slow
def test_a_quick_run_writes_the_page_with_a_row_for_every_map(tmp_path: Path):
    said: list[str] = []
    page = run_study("distributions", StudyOptions(tmp_path, quick=True, say=said.append))
    text = page.read_text("utf-8")
    laws = {properties.title(name) for name in NOISES}
    for name in (contender.name for contender in contenders()):
        assert text.count(f"| {name} |") == 3 + (name in laws)  # digits, attention, cost, what holds for every law
    for heading in ("Question", "What the article claims", "Classification", "Attention", "Verdict", "To repeat it"):
        assert f"## {heading}\n" in text
    assert "quick run" in text and "webnlg: not measured" in text and "kexue study distributions --quick" in text
    assert said[0].startswith("digits")


def test_a_name_that_is_no_study_is_refused_with_the_right_one():
    with pytest.raises(OptionError, match="Did you mean 'distributions'"):
        run_study("distribution", StudyOptions(Path("out")))


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"webnlgg": Path()}, OptionError, "Did you mean 'webnlg'"),
        ({"webnlg": Path("nowhere")}, DataError, "nowhere: is not a folder"),
    ],
)
def test_data_that_is_not_known_or_not_there_is_refused_before_any_work(given, error, message):
    with pytest.raises(error, match=message):
        run_study("distributions", StudyOptions(Path("out"), data=given))


def test_every_study_can_be_imported_and_run():
    from importlib import import_module

    assert all(callable(import_module(f"kexue.studies.{name.replace('-', '_')}").run) for name in STUDIES)
