"""Verdicts of the study of warm-up follow from the branches that were measured and the trainings that were made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from kexue.studies.claims import CONDITIONS, FAILS, HOLDS, OPEN
from kexue.studies.gau_warmup.branch import Setting, article_estimate
from kexue.studies.gau_warmup.contenders import DEEP_NORM, PLAIN, WARM_UP
from kexue.studies.gau_warmup.findings import Findings, Run
from kexue.studies.gau_warmup.verdict import judged

LECUN, XAVIER, NORMAL = (f"GAU, softmax, {name}" for name in ("lecun", "xavier", "normal"))
ESTIMATED, SMALL, TENS, HUNDREDS, THOUSANDS, TRANSFORMER = (
    "GAU(x) is s nu",
    "At the usual settings",
    "With the norm after the sum and Xavier's",
    "Hundreds",
    "With weights of 0.02",
    "With the norm after the sum a deep Transformer",
)
Trained = Mapping[tuple[str, int], Sequence[bool]]
"""Whether each seed learnt from context, by contender and depth."""


def found(
    times: Sequence[float] = (1.0, 1.0, 1.0), small: Mapping[str, float] | None = None, trained: Trained | None = None
) -> Findings:
    """Branches that are `times` the estimate, or `small` beside the state by initialisation; losses of 1 or 3."""
    curves = {
        Setting(length, 128, "lecun", "squared_relu", False): [factor * article_estimate(length, 128)]
        for length, factor in zip((16, 64, 512), times, strict=True)
    }
    kinds = {
        Setting(512, 128, name, "squared_relu", rotary): [value]
        for name, value in ({"lecun": 0.01, "normal": 1e-4} | dict(small or {})).items()
        for rotary in (False, True)
    }
    runs = [
        Run(name, depth, seed, [4.0, 1.0 if learnt else 3.0])
        for (name, depth), seeds in (trained or {}).items()
        for seed, learnt in enumerate(seeds)
    ]
    by_beginning = [run for run in runs if run.contender in (XAVIER, NORMAL)]
    return Findings(curves, kinds, [run for run in runs if run not in by_beginning], by_beginning, entropy=3.0)


def transformers(plain: Sequence[int], warm_up: Sequence[int], deep_norm: Sequence[int]) -> Trained:
    """Of two depths, which of them each trains at."""
    learns = {PLAIN: plain, WARM_UP: warm_up, DEEP_NORM: deep_norm}
    return {(name, depth): [depth in own] for name, own in learns.items() for depth in (12, 48)}


@pytest.mark.parametrize(
    ("claim", "changed", "verdict"),
    [
        (ESTIMATED, {}, HOLDS),
        (ESTIMATED, {"times": (1.2, 1.4, 5.0)}, CONDITIONS),
        (ESTIMATED, {"times": (1.2, 4.0, 5.0)}, FAILS),
        (SMALL, {}, HOLDS),
        (SMALL, {"small": {"lecun": 0.05}}, CONDITIONS),
        (SMALL, {"small": {"lecun": 0.05, "normal": 0.05}}, FAILS),
        (TENS, {"trained": {(LECUN, 12): [True], (XAVIER, 48): [True]}}, HOLDS),
        (TENS, {"trained": {(LECUN, 12): [True], (XAVIER, 48): [False]}}, CONDITIONS),
        (TENS, {"trained": {(LECUN, 12): [True]}}, CONDITIONS),
        (TENS, {"trained": {(LECUN, 12): [True, False]}}, FAILS),
        (TENS, {"trained": {(LECUN, 4): [True], (LECUN, 100): [True]}}, OPEN),
        (HUNDREDS, {"trained": {(LECUN, 100): [True], (LECUN, 200): [True]}}, HOLDS),
        (HUNDREDS, {"trained": {(LECUN, 100): [True]}}, CONDITIONS),
        (HUNDREDS, {"trained": {(LECUN, 100): [True, False]}}, FAILS),
        (HUNDREDS, {"trained": {(LECUN, 48): [True]}}, OPEN),
        (THOUSANDS, {"trained": {(NORMAL, 10_000): [True]}}, HOLDS),
        (THOUSANDS, {"trained": {(NORMAL, 48): [True]}}, CONDITIONS),
        (THOUSANDS, {"trained": {(NORMAL, 48): [False]}}, FAILS),
        (THOUSANDS, {"trained": {(LECUN, 48): [True]}}, OPEN),
        (TRANSFORMER, {"trained": transformers([12], [12, 48], [12, 48])}, HOLDS),
        (TRANSFORMER, {"trained": transformers([12], [12], [12, 48])}, CONDITIONS),
        (TRANSFORMER, {"trained": transformers([12, 48], [12, 48], [12, 48])}, FAILS),
        (TRANSFORMER, {"trained": transformers([12], [12], [12])}, FAILS),
        (TRANSFORMER, {}, OPEN),
    ],
)
def test_every_claim_comes_out_as_the_findings_say(claim: str, changed: dict, verdict: str):
    (own,) = [one for one in judged(found(**changed)) if one.says.startswith(claim)]
    assert own.verdict == verdict, own.because


def test_two_dozen_combinations_are_counted_and_not_listed():
    (claim,) = [one for one in judged(found(small={"xavier": 0.3})) if one.says.startswith(SMALL)]
    assert "2 of 3 maps and initialisations are below 0.02: lecun 1 of 1, normal 1 of 1, xavier 0 of 1" in claim.because


def test_what_diverges_is_named():
    findings = found(trained=transformers([12], [12], [12, 48]))
    lost = Run(PLAIN, 100, 0, [4.0, 9.0])
    (claim,) = [
        one
        for one in judged(Findings(findings.curves, findings.kinds, [*findings.by_depth, lost], [], 3.0))
        if one.says.startswith(TRANSFORMER)
    ]
    assert claim.because.endswith("diverged: Transformer")
