"""The studies of diffusion: their numbers against known ones, and the pages that they write."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from kexue.diffusion import ArticleLimit, ArticleSchedule
from kexue.diffusion.exact import MixtureData, f64
from kexue.studies import StudyOptions, run_study
from kexue.studies.claims import FAILS, HOLDS
from kexue.studies.ddim import columns, equation, marginals, subsequences
from kexue.studies.ddpm_bayes import estimators, posterior, variances
from kexue.studies.ddpm_vae import noise_levels, reduction
from kexue.studies.ddpm_vae.expected import VARIANCES, bound
from kexue.studies.lab import Lab
from kexue.studies.laws import entropy
from kexue.studies.page import Page
from kexue.studies.pictures import Pictures
from kexue.studies.sde import coefficients, family, flow, matching, samplers

MODES = MixtureData.three_modes()


def quick(folder: Path) -> Lab:
    return Lab("some", StudyOptions(folder, quick=True, say=lambda line: None, device="cpu"))


def verdicts(part, folder: Path) -> dict[str, str]:
    """Of a part on its own, by the claim."""
    page = Page()
    claims = part.show(part.measure(quick(folder)), page, Pictures(folder, "some"))
    return {claim.says: claim.verdict for claim in claims}


@pytest.mark.parametrize(("num_steps", "gap"), [(100, 0.0109), (1000, 0.0011)])
def test_the_bound_of_a_narrow_gaussian_is_known(num_steps, gap):
    narrow = MixtureData(f64([1.0]), f64([[0.0]]), f64([0.5]))
    found = {kind: bound(narrow, ArticleLimit(), num_steps, variance).total for kind, variance in VARIANCES.items()}
    assert found["beta"] - entropy(narrow) == pytest.approx(gap, abs=2e-4)
    assert found["best"] == pytest.approx(entropy(narrow), abs=1e-8)
    assert found["beta~"] > found["beta"]


def test_no_variance_gives_a_bound_below_the_entropy_and_the_best_gives_the_least():
    bounds = {kind: bound(MODES, ArticleLimit(), 20, variance).total for kind, variance in VARIANCES.items()}
    assert entropy(MODES) < bounds["best"] == min(bounds.values())


def test_the_orders_of_a_chain_end_alike():
    ends = [make(20).alpha(torch.ones((), dtype=torch.float64)) for make in noise_levels.ORDERS.values()]
    for end in ends:
        torch.testing.assert_close(end, ArticleSchedule().alpha(torch.ones((), dtype=torch.float64)))
    falling, same, rising = (make(20).discrete_betas(20) for make in noise_levels.ORDERS.values())
    assert (falling.diff() > 0).all() and same.diff().abs().max() < 1e-12 and (rising.diff() < 0).all()


def test_the_unreduced_loss_varies_as_much_more_as_was_computed_by_hand(tmp_path: Path):
    rows = {(row["t"], row["best"]): row for row in reduction.measure(quick(tmp_path))}
    assert 5 < rows[11, False]["ratio"] < 7 and 20 < rows[901, False]["ratio"] < 40
    for row in rows.values():
        assert abs(row["difference"] - row["constant"]) < 4.5 * row["error"]


def test_bayes_on_a_grid_agrees_and_a_wrong_formula_does_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    assert set(verdicts(posterior, tmp_path).values()) == {HOLDS}
    schedule = ArticleSchedule
    right = schedule.posterior
    monkeypatch.setattr(schedule, "posterior", lambda self, t, s: right(self, t, s)._replace(on_x0=self.alpha(s)))
    assert FAILS in verdicts(posterior, tmp_path).values()


def test_each_variance_is_right_where_the_article_says(tmp_path: Path):
    found = variances.measure(quick(tmp_path))
    assert found["beta~"]["0"]["10"] == 0 < found["beta"]["0"]["10"]
    assert found["beta"]["1"]["10"] == pytest.approx(1) != found["beta~"]["1"]["10"]
    assert all(found["right"][v]["10"] == pytest.approx(float(v != "0")) for v in ("0", "1"))


def test_estimates_of_what_is_not_known_err_where_they_cancel(tmp_path: Path):
    rows = {row["t"]: row["off"] for row in estimators.measure(quick(tmp_path))["rows"]}
    assert rows[0.9][0] > 20 * rows[0.9][1] and rows[0.01][1] > 20 * rows[0.01][0]


def test_marginals_hold_for_any_noise_and_too_much_noise_is_counted(tmp_path: Path):
    result = marginals.measure(quick(tmp_path))
    assert max(value for errors in result["given"].values() for value in errors) < 1e-12
    assert result["too_much"]["1000"] == [1, 2, 3]


def test_order_is_told_from_disorder():
    assert (
        columns.ordered([1.0, 2.0, 3.0]) and columns.ordered([1.0, 0.99, 3.0]) and not columns.ordered([1.0, 0.9, 3.0])
    )


def test_a_part_of_a_chain_is_a_chain_and_the_wrong_alpha_is_worse(tmp_path: Path):
    values = subsequences._closed(20)
    assert values["part"] == pytest.approx(values["alone"], rel=1e-9)
    assert abs(values["wrong"] - 1) > 1.2 * abs(values["right"] - 1)


def test_errors_of_the_equation_fall_with_the_order_of_the_method():
    ddim, heun = (
        {str(n): equation._error(equation.SAMPLERS[name][0], n) for n in (80, 160)} for name in ("DDIM", "Heun")
    )
    assert equation.orders(ddim) == pytest.approx(1, abs=0.1) and equation.orders(heun) == pytest.approx(2, abs=0.3)
    assert equation._forms() < 1e-12 and max(equation._equations().values()) < 1e-9


def test_coefficients_come_back_and_wrong_ones_do_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    schedule = coefficients.SCHEDULES["sub-VP"]
    assert max(coefficients._moments(schedule, 200)) < 1e-5
    right = type(schedule).diffusion
    monkeypatch.setattr(type(schedule), "diffusion", lambda self, t: right(self, t) * 1.1)
    assert max(coefficients._moments(schedule, 200)) > 0.01


@pytest.mark.parametrize("share", family.SHARES)
def test_every_reverse_equation_tends_to_the_law_with_order_one(share):
    few, many = (abs(family._variance(family.Reverse(share), num) - 1) for num in (500, 1000))
    assert many < 0.02 and few / many == pytest.approx(2, abs=0.35)


def test_score_matching_has_one_constant_and_a_wrong_target_does_not(tmp_path: Path):
    assert set(verdicts(matching, tmp_path).values()) == {HOLDS}
    value, error = matching._constant(0.3, lambda x, score: x.cos(), 50_000, quick(tmp_path))
    base, base_error = matching._constant(0.3, lambda x, score: score, 50_000, quick(tmp_path))
    assert abs(value - base) < 4 * (error + base_error) and base > 50 * base_error


def test_the_law_obeys_its_equations_and_another_drift_is_noticed(monkeypatch: pytest.MonkeyPatch):
    schedule = flow.SCHEDULES["article"]
    assert max(flow._residuals(schedule).values()) < 1e-9
    right = type(schedule).drift
    monkeypatch.setattr(type(schedule), "drift", lambda self, t: right(self, t) * 1.1)
    assert min(flow._residuals(schedule).values()) > 1e-3


def test_the_published_corrector_keeps_its_excess():
    assert samplers._published(2000) == pytest.approx(1 + samplers.SNR**2, abs=2e-3)
    assert samplers._variance(2000) < samplers._variance(500) < 1.06


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ddpm-vae", "ddpm-bayes", "ddim", "sde"])
def test_a_quick_run_writes_the_page_and_goes_on_where_it_was(name: str, tmp_path: Path):
    pytest.importorskip("matplotlib", reason="the studies extra is not installed")
    said: list[str] = []
    options = StudyOptions(tmp_path, quick=True, say=said.append, device="cpu")
    page = run_study(name, options)
    text = page.read_text("utf-8")
    for heading in ("Question", "What the article claims", "Verdict", "To repeat it"):
        assert f"## {heading}\n" in text
    assert page.name == f"{name}.md" and "nan" not in text.replace("nant", "")
    shown = {part.partition(")")[0] for part in text.split("](")[1:] if part.partition(")")[0].endswith(".png")}
    assert shown == {path.name for path in tmp_path.glob("*.png")} and shown
    measured, body = len(said), text[: text.index("## To repeat it")]
    assert run_study(name, options).read_text("utf-8").startswith(body)
    assert len(said) == measured  # nothing was measured again
