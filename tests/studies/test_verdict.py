"""Verdicts of the study of distributions follow from the findings, and name a difference where the seeds show one."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from kexue.studies.claims import CONDITIONS, FAILS, HOLDS, OPEN
from kexue.studies.distributions.attention import AttentionOutcome
from kexue.studies.distributions.classification import Outcome
from kexue.studies.distributions.findings import Findings
from kexue.studies.distributions.properties import LawProperties, Properties
from kexue.studies.distributions.quadrature import QuadratureError
from kexue.studies.distributions.verdict import beyond_chance, gains, judged

SAMPLES = {"softmax": [0.90, 0.91, 0.92], "twin": [0.90, 0.91, 0.92], "worse": [0.70, 0.71, 0.72]}


def test_a_difference_of_twenty_standard_deviations_is_named_and_none_between_twins():
    assert beyond_chance(SAMPLES) == ([], ["worse"])
    assert beyond_chance(SAMPLES, "worse") == (["softmax", "twin"], [])


def test_a_difference_within_the_spread_is_chance():
    assert beyond_chance({"softmax": [0.90, 0.92, 0.91], "other": [0.91, 0.93, 0.92]}) == ([], [])


def test_the_interval_of_a_gain_is_around_the_difference_of_the_means():
    low, high = gains(SAMPLES)["worse"]
    assert (low + high) / 2 == pytest.approx(-0.2) and 0.02 < high - low < 0.1


@pytest.mark.parametrize("samples", [{"softmax": [0.9], "other": [0.1]}, {"softmax": [0.9] * 3, "other": [0.1] * 3}])
def test_without_a_spread_nothing_is_claimed(samples: dict[str, list[float]]):
    assert gains(samples) == {} and beyond_chance(samples) == ([], [])


PERFECT = LawProperties(0, 0, 0, 0)


def found(
    law: LawProperties = PERFECT,
    softmax_error: float = 0,
    closed_error: float = 1e-5,
    sums: Sequence[float] = (1.0, 1.0),
    right: Sequence[float] = (0.9, 0.9),
    calibration: Sequence[float] = (0.9, 0.9),
    attended: Sequence[float] = (0.5, 0.5),
    focus: float = 0.5,
    width: float = 0.001,
    cost: Sequence[float] = (1.5, 1.8),
) -> Findings:
    """What a study may find of softmax, normal and uniform noise.

    `right` and `calibration` are of normal noise on two sets, `attended` and `focus` of uniform noise with 16 and 64
    items; the others have 0.9 and 0.5. Seeds lie `width` apart.
    """
    names, seeds = ("softmax", "normal", "uniform"), (-width, 0.0, width)
    classified = {
        toy: {
            name: [Outcome(accuracy + off, 1 - calibrated - off, 0, 1) for off in seeds]
            for name in names
            for accuracy, calibrated in [values if name == "normal" else (0.9, 0.9)]
        }
        for toy, *values in zip(("one", "two"), right, calibration, strict=True)
    }
    return Findings(
        [],
        [],
        classified,
        {
            name: [
                {16: AttentionOutcome(near + off, 0.5, 0), 64: AttentionOutcome(far + off, weight + off, 0.9)}
                for off in seeds
            ]
            for name in names
            for near, far, weight in [(*attended, focus) if name == "uniform" else (0.5, 0.5, 0.5)]
        },
        {(1, 2): (dict(zip(names, (1.0, *cost), strict=True)), 1e-3)},
        Properties({"normal": law}, softmax_error, {"gumbel": 1e-5, "exponential": closed_error}),
        [QuadratureError(classes, 10, total, 1.0, 0.0) for classes, total in enumerate(sums)],
        1.0,
    )


ORDER, SHIFT, GUMBEL, CLOSED = "It keeps the order", "It does not change", "Gumbel noise", "No other law"
QUANTILES, ACCURATE, CALIBRATED = "Other laws can", "Another law is more accurate", "Another law is better calibrated"
BOUNDED, CHEAP = "Noise bounded", "Another law costs"


@pytest.mark.parametrize(
    ("claim", "changed", "verdict"),
    [
        ("P(argmax", {}, HOLDS),
        ("P(argmax", {"law": LawProperties(0.01, 0, 0, 0)}, FAILS),
        (ORDER, {}, HOLDS),
        (ORDER, {"law": LawProperties(0, 0, 0.4, 0)}, CONDITIONS),
        (ORDER, {"law": LawProperties(0, 0.01, 0, 0)}, FAILS),
        (SHIFT, {}, HOLDS),
        (SHIFT, {"law": LawProperties(0, 0, 0, 0.01)}, FAILS),
        (GUMBEL, {}, HOLDS),
        (GUMBEL, {"softmax_error": 0.01}, FAILS),
        (CLOSED, {"closed_error": 1e-3}, HOLDS),
        (CLOSED, {}, FAILS),
        (QUANTILES, {}, HOLDS),
        (QUANTILES, {"sums": (0.999, 0.5)}, CONDITIONS),
        (QUANTILES, {"sums": (0.9, 0.5)}, FAILS),
        (ACCURATE, {"right": (0.95, 0.95), "attended": (0.6, 0.6)}, HOLDS),
        (ACCURATE, {"right": (0.95, 0.9)}, CONDITIONS),
        (ACCURATE, {"right": (0.85, 0.9)}, FAILS),
        (ACCURATE, {"width": 0.03}, OPEN),
        (CALIBRATED, {"calibration": (0.95, 0.95)}, HOLDS),
        (CALIBRATED, {"calibration": (0.95, 0.85)}, CONDITIONS),
        (CALIBRATED, {"calibration": (0.85, 0.85)}, FAILS),
        (CALIBRATED, {"width": 0.03}, OPEN),
        (BOUNDED, {"attended": (0.5, 0.6)}, HOLDS),
        (BOUNDED, {"focus": 0.6}, CONDITIONS),
        (BOUNDED, {}, FAILS),
        (BOUNDED, {"width": 0.03}, OPEN),
        (CHEAP, {}, HOLDS),
        (CHEAP, {"cost": (1.5, 90.0)}, CONDITIONS),
        (CHEAP, {"cost": (3.0, 90.0)}, FAILS),
    ],
)
def test_every_claim_comes_out_as_the_findings_say(claim: str, changed: dict, verdict: str):
    (own,) = [one for one in judged(found(**changed)) if one.says.startswith(claim)]
    assert own.verdict == verdict, own.because


def test_a_verdict_says_where_a_law_is_better_and_by_how_much():
    (claim,) = [one for one in judged(found(right=(0.95, 0.8))) if one.says.startswith(ACCURATE)]
    assert claim.because.startswith("beyond chance on one; the best law in points: one normal +5.0, two uniform +0.0")
    assert claim.because.endswith("worse beyond chance: normal on two")
