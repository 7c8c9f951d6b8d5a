"""sigma_t = beta_t, beta~_t, or what is right: the variance that a sampler gives Gaussian data, in closed form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kexue.diffusion import DDIM, AnalyticDPM, ArticleSchedule, Sampler, SigmaHat, UniformTime
from kexue.diffusion.exact import marginal, variance_of
from kexue.diffusion.samplers import GaussianUncertainty
from kexue.studies.claims import Claim, judge
from kexue.studies.lab import Lab
from kexue.studies.page import Page
from kexue.studies.pictures import Pictures

SCHEDULE = ArticleSchedule()
EXACT = 1e-6
ALIKE = 0.05
KINDS = ("beta~", "beta", "right")


def measure(lab: Lab) -> Any:
    """The variance of what is sampled, over that of the data where these are no single point.

    By kind, variance and number of steps.
    """
    variances = lab.pick((0.0, 1.0), (0.0, 1e-3, 0.05, 0.25, 0.5, 1.0, 4.0))
    lengths = lab.pick((10,), (10, 20, 50, 100, 1000))
    return {
        kind: {
            f"{variance:g}": {str(num): _sampled(kind, variance, num) / (variance or 1.0) for num in lengths}
            for variance in variances
        }
        for kind in KINDS
    }


def _sampled(kind: str, variance: float, num_steps: int) -> float:
    times = UniformTime().times(SCHEDULE, num_steps)
    start = marginal(SCHEDULE, 1.0, variance)
    return variance_of(_sampler(kind, variance), SCHEDULE, times, variance, start=start, last_noise=True)


def _sampler(kind: str, variance: float) -> Sampler:
    return {
        "beta~": DDIM(eta=1.0),
        "beta": SigmaHat(),
        "right": AnalyticDPM(GaussianUncertainty(variance)),
    }[kind]


def show(result: Any, page: Page, pictures: Pictures) -> Sequence[Claim]:
    """A table and the same as a picture."""
    page.heading("The variance of a step, Gaussian data")
    page.text(
        """N(0, v), the exact denoiser, begun at the exact law of x_1, noise in the last step too: the variance of
        what is sampled over v; for a single point, v = 0, the variance itself, which should be 0. Nothing is drawn:
        every sample is a sum of noises with known coefficients."""
    )
    lengths = list(next(iter(result["beta"].values())))
    page.table(
        ["sigma_t", "v", *(f"{num} steps" for num in lengths)],
        [
            [kind, variance, *(_number(values[num]) for num in lengths)]
            for kind, rows in result.items()
            for variance, values in rows.items()
        ],
    )
    pictures.draw(page, "variances", "Variance of the samples over that of the data", _plot(result), (10, 4))
    return _claims(result, lengths)


def _number(value: float) -> str:
    return f"{value:.4f}" if 1e-3 < value < 100 or not value else f"{value:.2g}"


def _plot(result: Any) -> Any:
    def plot(figure: Any) -> None:
        for panel, kind in zip(figure.subplots(1, 2, sharey=True), ("beta~", "beta"), strict=True):
            for variance, values in result[kind].items():
                if float(variance):
                    panel.plot([int(num) for num in values], list(values.values()), "o-", label=f"v = {variance}")
            panel.axhline(1, color="black", linewidth=0.8)
            panel.set(xscale="log", yscale="log", xlabel="steps", title=f"sigma_t = {kind}_t")
            panel.set_ylabel("variance of samples / of data")
            panel.legend(fontsize=8)
            panel.grid(alpha=0.3)

    return plot


def _off(values: Any) -> float:
    return max(abs(value - 1) for value in values.values())


def _claims(result: Any, lengths: Sequence[str]) -> list[Claim]:
    last, first = lengths[-1], lengths[0]
    usual = [variance for variance in result["beta"] if 0 < float(variance) <= 1]
    many = {kind: max(abs(result[kind][variance][last] - 1) for variance in usual) for kind in KINDS}
    few = {kind: max(abs(result[kind][variance][first] - 1) for variance in usual) for kind in KINDS}
    right = max(_off(values) for variance, values in result["right"].items() if float(variance))
    point = {kind: max(result[kind]["0"].values()) for kind in KINDS}
    return [
        judge(
            "For a single point sigma = beta~ is right",
            point["beta~"] < EXACT,
            f"the samples have variance {point['beta~']:.0e} at most; with beta up to {point['beta']:.2g}, "
            f"{result['beta']['0'][last]:.1e} at {last} steps",
        ),
        judge(
            "For N(0, I) sigma = beta is right",
            _off(result["beta"]["1"]) < EXACT,
            f"to {_off(result['beta']['1']):.0e}",
        ),
        judge(
            "Other data lie between, and both choices do about equally well",
            max(few["beta"], few["beta~"]) < ALIKE,
            f"over v from {usual[0]} to {usual[-1]}: off by {many['beta~']:.1%} (beta~) and {many['beta']:.1%} "
            "(beta) at most "
            f"at {last} steps, by {few['beta~']:.0%} and a factor of {1 + few['beta']:.3g} at {first}",
            partly=min(many["beta"], many["beta~"]) < 2 * ALIKE,
        ),
        judge(
            "The right variance adds what is not known of x_0 (archives/9245)",
            right < EXACT,
            f"exact for every v, any number of steps: off by {right:.0e} at most",
        ),
    ]
