"""The study of archives/8990: its estimates against known simulations, its parts, and the page that it writes."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from kexue.studies import StudyOptions, gau_warmup, run_study
from kexue.studies.gau_warmup import branch
from kexue.studies.gau_warmup.contenders import CONTENDERS, Shape
from kexue.studies.gau_warmup.findings import DIVERGES, STALLS, TRAINS, Findings, Run
from kexue.studies.gau_warmup.sizes import QUICK
from kexue.studies.gau_warmup.text import HIDDEN, IGNORED, read_text
from kexue.studies.gau_warmup.training import Training, train
from kexue.studies.gau_warmup.transformer import Transformer, TransformerSizes

CPU = torch.device("cpu")


def test_the_moments_of_silu_are_those_of_the_article():
    mu, nu = branch.silu_moments()
    assert mu == pytest.approx(0.2066209641, abs=1e-8)
    assert nu**2 == pytest.approx(0.3557755198, abs=1e-8)


def test_the_articles_estimate_is_its_one_hundredth():
    assert branch.article_estimate(512, 128) == pytest.approx(0.01126, abs=1e-5)


@pytest.mark.parametrize(
    ("num_tokens", "simulated"), [(128, 0.0867), (256, 0.0666), (512, 0.0534), (1024, 0.0528), (2048, 0.0487)]
)
def test_the_corrected_estimate_is_near_the_simulation(num_tokens, simulated):
    assert branch.corrected_estimate(num_tokens, 128) == pytest.approx(simulated, rel=0.17)


def test_the_corrected_estimate_falls_to_its_floor_and_not_to_zero():
    floor = branch.floor_estimate(128)
    assert floor == pytest.approx(0.0436, rel=0.01)
    assert branch.corrected_estimate(10**8, 128) == pytest.approx(floor, rel=1e-3)


def test_with_few_tokens_both_estimates_agree_as_the_diagonal_decides():
    assert branch.corrected_estimate(1, 128) == pytest.approx(branch.article_estimate(1, 128), rel=1e-6)


def test_a_measured_branch_is_that_of_the_simulation():
    grid = branch.Grid((512,), (128,), ("lecun",), ("squared_relu",), tokens=512)
    found = branch.measure(grid, (0, 1), CPU)
    without, with_rotary = (sum(values) / 2 for values in found.values())
    assert without == pytest.approx(0.0534, rel=0.1)
    assert with_rotary == pytest.approx(0.0264, rel=0.1)


def test_hidden_characters_are_those_to_be_found():
    text = read_text()
    ids, labels = text.batches(steps=3, batch_size=4, length=50, seed=0)
    hidden = ids == HIDDEN
    assert (labels[~hidden] == IGNORED).all() and (labels[hidden] >= 2).all()
    assert hidden.double().mean().item() == pytest.approx(0.2, abs=0.05)
    assert 2.5 < text.entropy() < math.log(text.vocab_size)


def test_all_contenders_have_about_as_many_parameters():
    counts = [sum(w.numel() for w in c.make(Shape(64, 64, 12)).parameters()) for c in CONTENDERS]
    assert max(counts) < 1.1 * min(counts)


def test_deep_norm_makes_the_state_larger_and_the_branches_smaller():
    plain, deep = (TransformerSizes(10, 32, 8, deep_norm=chosen) for chosen in (False, True))
    assert (plain.state_gain, plain.weight_gain) == (1, 1)
    assert deep.state_gain == pytest.approx(16**0.25) and deep.weight_gain == pytest.approx(64**-0.25)
    values = [Transformer(sizes).layers[0].branch.value.weight.std().item() for sizes in (plain, deep)]
    assert values[1] / values[0] == pytest.approx(64**-0.25, rel=0.1)


def test_the_rate_rises_over_the_share_asked_for():
    training = Training(steps=8, learning_rate=1.0)
    assert [training.rate(step, 0.5) for step in range(8)] == [0.25, 0.5, 0.75, 1, 1, 1, 1, 1]
    assert training.rate(0, 0.0) == 1


@pytest.mark.parametrize("contender", CONTENDERS, ids=lambda contender: contender.name)
def test_every_contender_learns_and_a_seed_decides_all(contender):
    training = replace(QUICK.training, steps=20)
    losses = train(contender, read_text(), training, 2, 0, CPU)
    assert losses[-1] < losses[0] - 0.2
    assert losses == train(contender, read_text(), training, 2, 0, CPU)


def test_outcomes_are_told_apart():
    findings = Findings({}, {}, [], [], entropy=3.0)
    outcomes = {tuple(losses): findings.outcome(Run("", 1, 0, losses)) for losses in ([4, 2.8], [4, 3.1], [4, 5.0])}
    assert list(outcomes.values()) == [TRAINS, STALLS, DIVERGES]
    assert findings.outcome(Run("", 1, 0, [4.0, math.nan])) == DIVERGES


def test_the_study_writes_its_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("matplotlib", reason="the studies extra is not installed")
    tiny = replace(QUICK, training=replace(QUICK.training, steps=2), depths=(2, 4), beginnings_depth=2)
    monkeypatch.setattr(gau_warmup, "QUICK", tiny)
    page = run_study("gau-warmup", StudyOptions(tmp_path, quick=True, device="cpu", say=lambda line: None))
    text = page.read_text("utf-8")
    assert page.name == "gau-warmup.md"
    assert all(contender.name in text for contender in CONTENDERS)
    assert all((tmp_path / name).is_file() for name in ("gau-warmup-branch.png", "gau-warmup-losses.png"))
