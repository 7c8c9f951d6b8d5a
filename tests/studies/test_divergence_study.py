"""The study of regularisers: intervals against cases whose answer is known, and a run that is interrupted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from kexue.studies import StudyOptions, run_study
from kexue.studies.claims import FAILS, HOLDS, OPEN
from kexue.studies.divergence import report
from kexue.studies.divergence.comparison import compare
from kexue.studies.divergence.report import CLAIMS, judged
from kexue.studies.divergence.sizes import FULL
from kexue.studies.divergence.trainings import Outcome, TrainedOn
from kexue.studies.divergence.variants import NONE, VARIANTS
from kexue.training.regularizers import make_regularizers


def outcome(variant: str, counts: list[list[int]], seed: int = 0) -> Outcome:
    return Outcome("toy", variant, seed, 0.5, 1.0, counts)


def test_the_same_answers_are_no_gain_and_noise():
    counts = [[1, 2, 2], [0, 1, 1], [2, 2, 3]] * 10
    compared = compare({NONE: [outcome(NONE, counts)], "VAT": [outcome("VAT", counts)]}, 200)
    assert compared["VAT"].gain == 0
    assert compared["VAT"].gain_interval == (0, 0)
    assert compared["VAT"].is_noise
    assert compared["VAT"].f1 == pytest.approx(2 * 30 / (50 + 60))


def test_better_in_every_document_is_more_than_noise_although_intervals_overlap():
    none = [[n % 3, 2, 3] for n in range(60)]
    better = [[right + 1 if n % 4 == 0 and right < 2 else right, 2, 3] for n, (right, _, _) in enumerate(none)]
    compared = compare({NONE: [outcome(NONE, none)], "VAT": [outcome("VAT", better)]}, 500)
    assert compared["VAT"].interval[0] < compared[NONE].interval[1]
    assert not compared["VAT"].is_noise
    assert 0 < compared["VAT"].gain_interval[0] < compared["VAT"].gain < compared["VAT"].gain_interval[1]


def test_better_in_one_document_is_noise():
    none = [[1, 2, 2]] * 40
    compared = compare({NONE: [outcome(NONE, none)], "FGM": [outcome("FGM", [[2, 2, 2], *none[1:]])]}, 500)
    assert compared["FGM"].gain > 0
    assert compared["FGM"].is_noise


def test_seeds_are_pooled_and_shown_one_by_one():
    seeds = [outcome(NONE, [[1, 1, 1]] * 5), outcome(NONE, [[0, 1, 1]] * 5, seed=1)]
    (only,) = compare({NONE: seeds}, 50).values()
    assert only.test == [1.0, 0.0]
    assert only.f1 == 0.5


@pytest.mark.parametrize(
    ("gain", "dev", "verdict"), [(1, 0.6, HOLDS), (-1, 0.4, FAILS), (1, 0.4, OPEN), (-1, 0.6, OPEN), (0, 0.6, OPEN)]
)
def test_a_claim_is_decided_where_test_is_beyond_noise_and_dev_agrees(gain: int, dev: float, verdict: str):
    counts = [[1, 2, 3]] * 40
    other = [[1 + gain, 2, 3]] * 40
    compared = compare({NONE: [outcome(NONE, counts)], "FGM": [replace(outcome("FGM", other), dev_f1=dev)]}, 200)
    (claim,) = judged("toy", compared)
    assert claim.verdict == verdict
    assert "toy, FGM: test" in claim.because and "1 seed" in claim.because


def test_all_variants_are_recipes_that_can_be_made():
    assert VARIANTS[NONE] is None
    assert {variant for _, variant, _ in CLAIMS} <= VARIANTS.keys()
    assert all(len(make_regularizers(values)) == 1 for name, values in VARIANTS.items() if name != NONE)


def test_the_page_has_the_variants_of_which_all_seeds_are_there(tmp_path: Path):
    sets = [TrainedOn("toy", {}, "minilm", (0, 1), FULL)]
    counts = [[1, 2, 3]] * 20
    known = {
        ("toy", name, seed): outcome(name, counts, seed)
        for name, seed in ((NONE, 0), (NONE, 1), ("VAT", 0), ("VAT", 1))
    } | {("toy", "FGM", 0): outcome("FGM", counts)}

    def page() -> str:
        return report.write(known, StudyOptions(tmp_path, device="cpu"), sets).write(tmp_path / "page.md").read_text()

    assert "| VAT |" in page() and "| FGM |" not in page()
    del known["toy", NONE, 1]
    assert "| VAT |" not in page()


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.long)])
def test_a_quick_run_writes_its_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int):
    monkeypatch.setattr(
        "kexue.studies.divergence.VARIANTS", {name: VARIANTS[name] for name in (NONE, "R-Drop, sigmoid")}
    )
    monkeypatch.setattr("kexue.studies.divergence.report.VARIANTS", dict.fromkeys((NONE, "R-Drop, sigmoid")))
    page = run_study(
        "divergence", StudyOptions(tmp_path, quick=True, device="cpu", workers=workers, say=lambda _: None)
    )
    text = page.read_text("utf-8")
    assert "| R-Drop, sigmoid |" in text
    assert f"kexue study divergence --quick --seed 0 --device cpu{' --workers 2' if workers == 2 else ''}" in text
