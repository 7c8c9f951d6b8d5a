"""Many small steps: how near the bound of T Gaussian steps comes to the entropy of the data, and where it is lost."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

from kexue.diffusion import ArticleLimit, variational_bound
from kexue.diffusion.exact import MixtureData, f64
from kexue.studies.claims import Claim, judge
from kexue.studies.ddpm_vae.expected import VARIANCES, bound, unknown
from kexue.studies.lab import Lab
from kexue.studies.laws import entropy
from kexue.studies.page import Page
from kexue.studies.pictures import Pictures

SCHEDULE = ArticleLimit()
DATA = {
    "N(0, 1)": MixtureData(f64([1.0]), f64([[0.0]]), f64([1.0])),
    "N(0, 0.5²)": MixtureData(f64([1.0]), f64([[0.0]]), f64([0.5])),
    "three modes": MixtureData.three_modes(),
}
DRAWN_STEPS = 100
NEAR = 0.005
"""Nats of a gap that counts as closed."""
SMALLER = 20
"""By which factor a gap has to fall that small steps close."""


def measure(lab: Lab) -> Any:
    """Bounds by data, variance and T; the terms of some; one bound by drawing."""
    lengths = lab.pick((2, 10), (2, 5, 10, 20, 50, 100, 200, 500, 1000))
    bounds = {name: _bounds(data, lengths) for name, data in DATA.items()}
    shown = lab.pick((10,), (10, 100, 1000))
    modes = DATA["three modes"]
    terms = {str(num): vars(bound(modes, SCHEDULE, num, VARIANCES["best"])) for num in shown}
    truth = {name: entropy(data) for name, data in DATA.items()}
    return {"bounds": bounds, "truth": truth, "terms": terms, "drawn": _drawn(lab, modes)}


def _bounds(data: MixtureData, lengths: Sequence[int]) -> dict[str, dict[str, float]]:
    """By variance and T."""
    missed = {num: unknown(data, SCHEDULE, num) for num in lengths}
    return {
        kind: {str(num): bound(data, SCHEDULE, num, variance, u).total for num, u in missed.items()}
        for kind, variance in VARIANCES.items()
    }


def _drawn(lab: Lab, data: MixtureData) -> dict[str, float]:
    """The same by the public function, from draws of data and noise."""
    num = lab.pick(200, 5000)
    x0 = data.sample(num, seed=lab.seed)
    drawn = variational_bound(data.denoiser(SCHEDULE), SCHEDULE, x0, DRAWN_STEPS, generator=lab.generator())
    nats = drawn.total * math.log(2)
    expected = bound(data, SCHEDULE, DRAWN_STEPS, VARIANCES["beta"]).total
    error = float(torch.std(nats)) / math.sqrt(num)
    return {"drawn": float(nats.mean()), "error": error, "expected": expected}


def show(result: Any, page: Page, pictures: Pictures) -> Sequence[Claim]:
    """The gaps, and a picture of the terms."""
    page.heading("How many steps")
    drawn = result["drawn"]
    page.text(
        f"""The bound on the negative log-likelihood less the entropy of the data, in nats, for a chain of T steps of
        alpha(t) = exp(-5 t²) with exact means: in the mean over data and noise, in closed form for Gaussian data and by
        quadrature for three modes in one dimension. The variance of a step is beta², the posterior's beta~² (at the
        step to the data, where that is 0, that of the step before), or the best, beta~² plus what is not known of x_0.
        By drawing, `variational_bound` says {drawn["drawn"]:.4f} ± {drawn["error"]:.4f} for three modes and T =
        {DRAWN_STEPS}, beta²; the sum of the expected terms is {drawn["expected"]:.4f}."""
    )
    lengths = list(result["bounds"]["N(0, 1)"]["beta"])
    page.table(
        ["data", "variance", *(f"T = {num}" for num in lengths)],
        [
            [name, kind, *(f"{values[num] - result['truth'][name]:.4f}" for num in lengths)]
            for name, kinds in result["bounds"].items()
            for kind, values in kinds.items()
        ],
    )
    pictures.draw(
        page, "terms", "What each step adds to the bound, and the gap by the number of steps", _plot(result), (10, 4)
    )
    return _claims(result)


def gap(result: Any, data: str, kind: str, num: str) -> float:
    """A bound less the entropy."""
    return result["bounds"][data][kind][num] - result["truth"][data]


def _plot(result: Any) -> Any:
    def plot(figure: Any) -> None:
        left, right = figure.subplots(1, 2)
        for num, terms in result["terms"].items():
            steps = terms["steps"]
            times = [1 - index / int(num) for index in range(len(steps))]
            left.plot(times, [term * int(num) for term in steps], label=f"T = {num}")
        left.set(xlabel="time t of the step (0 data, 1 noise)", ylabel="KL of the step × T (nats)", yscale="log")
        left.set_title("three modes, best variance", fontsize=10)
        for kind, mark in zip(VARIANCES, "o^s", strict=True):
            values = result["bounds"]["three modes"][kind]
            gaps = [gap(result, "three modes", kind, num) for num in values]
            right.plot([int(num) for num in values], gaps, mark + "-", label=kind)
        right.set(xscale="log", yscale="log", xlabel="steps T", ylabel="bound − entropy (nats)")
        right.set_title("three modes", fontsize=10)
        for panel in (left, right):
            panel.grid(alpha=0.3)
            panel.legend(fontsize=8)

    return plot


def _claims(result: Any) -> list[Claim]:
    lengths = list(result["bounds"]["N(0, 1)"]["beta"])
    first, last = lengths[0], lengths[-1]
    modes = {
        kind: (gap(result, "three modes", kind, first), gap(result, "three modes", kind, last)) for kind in VARIANCES
    }
    unit = max(abs(gap(result, "N(0, 1)", "beta", num)) for num in lengths)
    narrow = {kind: gap(result, "N(0, 0.5²)", kind, last) for kind in VARIANCES}
    drawn = result["drawn"]
    return [
        judge(
            "The joint divergence of two chains is a bound that splits into one term a step",
            abs(drawn["drawn"] - drawn["expected"]) < 4 * drawn["error"],
            f"drawn {drawn['drawn']:.4f} ± {drawn['error']:.4f}, sum of the terms {drawn['expected']:.4f}",
        ),
        judge(
            "Many small Gaussian steps express what one cannot",
            modes["beta"][1] < modes["beta"][0] / SMALLER,
            f"three modes, beta²: {modes['beta'][0]:.3f} nats from the truth with {first} steps, "
            f"{modes['beta'][1]:.4f} with {last}",
        ),
        judge(
            "sigma = beta is right for data N(0, I)",
            unit < 1e-6,
            f"the bound is the entropy to {unit:.0e} nats for every T",
        ),
        judge(
            "sigma = beta and beta~ do about equally well",
            max(narrow["beta"], narrow["beta~"]) < NEAR,
            f"by the bound they do not: {narrow['beta']:.4f} against {narrow['beta~']:.2f} nats for N(0, 0.5²) at "
            f"T = {last}, lost at the steps next to the data. Pictures do not show those: see `kexue study ddpm-bayes`",
            partly=min(narrow["beta"], narrow["beta~"]) < NEAR,
        ),
    ]
