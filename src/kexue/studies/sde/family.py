"""A family of reverse SDEs with one law, and the forward chain's limit.

dx = [f x - (g^2 + n^2) score / 2] dt + n dw,    n = c g:  c = 0 the probability flow, c = 1 Anderson's
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from kexue.diffusion import ArticleLimit, Euler, EulerMaruyama, Schedule, UniformTime
from kexue.diffusion.exact import MixtureData, f64, marginal, variance_of
from kexue.diffusion.grids import TimeGrid
from kexue.diffusion.samplers.sampler import Columns, OneRowSampler
from kexue.studies.claims import Claim, judge
from kexue.studies.lab import Lab
from kexue.studies.laws import sampled, usual_distance, wasserstein
from kexue.studies.page import Page
from kexue.studies.pictures import Pictures

SCHEDULE = ArticleLimit()
DATA = MixtureData.three_modes()
VARIANCE = 0.16
SHARES = (0.0, 0.5, 1.0, 1.5)
END = 1e-3
STEPS = (1e-2, 1e-3, 1e-4)


@dataclass(frozen=True)
class Reverse(OneRowSampler):
    """Euler and Maruyama's steps of the reverse SDE whose noise is `share` times that of the forward one."""

    share: float = 1.0

    grid: ClassVar[TimeGrid] = UniformTime()

    @property
    def stochastic(self) -> bool:
        """Unless it is the probability flow."""
        return self.share > 0

    def columns(self, schedule: Schedule, t: Tensor, s: Tensor) -> Columns:
        """score = -eps / sigma."""
        h, g = t - s, schedule.diffusion(t)
        factor = (1 + self.share**2) / 2
        return Columns(
            on_x=1 - h * schedule.drift(t),
            on_eps=-h * factor * g.square() / schedule.sigma(t),
            noise=self.share * g * h.sqrt(),
        )


def measure(lab: Lab) -> Any:
    """Variances and distances by share and steps; the chain against the SDE by the length of a step."""
    lengths, num = lab.pick((50,), (50, 200, 1000)), lab.pick(500, 5000, 400_000)
    variances = {f"{c:g}": {str(n): _variance(Reverse(c), n) for n in lengths} for c in SHARES}
    distances = {f"{c:g}": {str(n): _distance(lab, c, n, num) for n in lengths[: lab.pick(1, 3)]} for c in SHARES}
    known = max(
        abs(_variance(ours, 50) - _variance(theirs, 50))
        for ours, theirs in ((Reverse(0.0), Euler()), (Reverse(1.0), EulerMaruyama()))
    )
    floor = usual_distance(DATA, num, lab.seed)
    return {
        "variances": variances,
        "distances": distances,
        "known": known,
        "floor": floor,
        "num": num,
        "limit": _limit(),
    }


def _variance(sampler: OneRowSampler, num_steps: int) -> float:
    """Of what is sampled, over that of x at END."""
    times = UniformTime(end=END).times(SCHEDULE, num_steps)
    start = marginal(SCHEDULE, 1.0, VARIANCE)
    return variance_of(sampler, SCHEDULE, times, VARIANCE, start=start, last_noise=True) / marginal(
        SCHEDULE, END, VARIANCE
    )


def _distance(lab: Lab, share: float, num_steps: int, num: int) -> float:
    x = sampled(DATA, SCHEDULE, Reverse(share), num_steps, num, lab.generator(num_steps), UniformTime(end=END))
    return wasserstein(x, DATA)[1]


def _limit() -> list[dict[str, float]]:
    """DDPM's step from t = 0.5 against that of the SDE, by its length: means for x = 0.3, eps = -0.8, and noises."""
    rows, x, eps = [], 0.3, -0.8
    for h in STEPS:
        t, s = f64(0.5), f64(0.5 - h)
        a, b = SCHEDULE.step_alpha(t, s), SCHEDULE.step_sigma(t, s)
        chain = (x - b.square() / SCHEDULE.sigma(t) * eps) / a
        f, g = SCHEDULE.drift(t), SCHEDULE.diffusion(t)
        sde = x - h * (f * x + g.square() * eps / SCHEDULE.sigma(t))
        rows.append({"h": h, "means": float((chain - sde).abs()), "noise": float(b / (g * h**0.5))})
    return rows


def show(result: Any, page: Page, pictures: Pictures) -> Sequence[Claim]:
    """Three tables and a picture."""
    page.heading("A family of reverse SDEs")
    page.text(
        f"""dx = [f x - (1 + c²) g² score / 2] dt + c g dw, from t = 1 to {END} in equal steps with the exact score.
        N(0, {VARIANCE}): the variance of what is sampled over the right one, in closed form. c = 0 is `Euler`, c = 1
        `EulerMaruyama`, to {result["known"]:.0e}."""
    )
    _table(page, result["variances"])
    page.text(
        f"""Three modes: W2 of {result["num"]:,} samples to the data ({result["floor"]:.4f} for as many draws of the
        data)."""
    )
    _table(page, result["distances"])
    page.text("DDPM's step against the SDE's, at t = 0.5, by the length dt of the step (beta as the noise of DDPM):")
    page.table(
        ["dt", "difference of the means", "over dt²", "ratio of the noises"],
        [
            [f"{row['h']:g}", f"{row['means']:.1e}", f"{row['means'] / row['h'] ** 2:.2f}", f"{row['noise']:.5f}"]
            for row in result["limit"]
        ],
    )
    return _claims(result)


def _table(page: Page, rows: Any) -> None:
    lengths = list(next(iter(rows.values())))
    page.table(
        ["c", *(f"{num} steps" for num in lengths)],
        [[c, *(f"{value:.4f}" for value in values.values())] for c, values in rows.items()],
    )


def _claims(result: Any) -> list[Claim]:
    variances, distances = result["variances"], result["distances"]
    lengths = list(variances["0"])
    first, last = lengths[0], lengths[-1]
    many = [values[last] for values in variances.values()]
    few = [values[first] for values in variances.values()]
    far = list(distances["0"])[-1]
    ends = [values[far] for values in distances.values()]
    rows = result["limit"]
    return [
        judge(
            "Every noise of the reverse SDE has the same law; without noise it is the probability flow",
            max(abs(value - 1) for value in many) < 0.01 and max(ends) < 2 * result["floor"],
            f"variances {min(many):.4f} to {max(many):.4f} of the right one at {last} steps ({min(few):.3f} to "
            f"{max(few):.3f} at {first}), W2 {min(ends):.4f} to {max(ends):.4f} at {far}: "
            f"draws of the data are {result['floor']:.3f} away",
        ),
        judge(
            "DDPM is the SDE taken in steps, to first order in dt",
            rows[-1]["means"] / rows[0]["means"] < 1e-3 and abs(rows[-1]["noise"] - 1) < 1e-3,
            f"means differ by {rows[-1]['means'] / rows[-1]['h'] ** 2:.1f} dt², noises by "
            f"{abs(rows[-1]['noise'] - 1):.0e}",
        ),
    ]
