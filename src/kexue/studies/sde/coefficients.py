"""f and g^2 from alpha and sigma, and back: by the moments' equations, and by running the forward SDE.

m' = f m,    v' = 2 f v + g^2
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from kexue.diffusion import VE, ArticleLimit, Cosine, LinearVP, Schedule, SubVP
from kexue.studies.claims import Claim, judge
from kexue.studies.lab import Lab
from kexue.studies.page import Page
from kexue.studies.pictures import Pictures

SCHEDULES: dict[str, Schedule] = {
    "article, exp(-5 t²)": ArticleLimit(),
    "linear VP": LinearVP(),
    "sub-VP": SubVP(),
    "VE": VE(),
    "cosine": Cosine(),
}
START, END = 1e-3, 0.95
X0 = 0.7


def measure(lab: Lab) -> Any:
    """Errors of the moments' equations; of a forward run; how noise adds up with dt in place of its root."""
    num = lab.pick(200, 500)
    moments = {name: _moments(schedule, num) for name, schedule in SCHEDULES.items()}
    runs = {
        name: _run(schedule, lab.pick(50, 500), lab.pick(500, 20_000), lab.generator())
        for name, schedule in SCHEDULES.items()
    }
    lengths = (10, 100, 1000)
    return {"moments": moments, "runs": runs, "sums": {str(num): _sums(num) for num in lengths}, "closed": _closed()}


def _moments(schedule: Schedule, num: int) -> tuple[float, float]:
    """Relative errors of alpha and sigma at END, integrated from START by Runge and Kutta's method."""
    t = torch.linspace(START, END, num + 1, dtype=torch.float64)
    state = torch.stack((schedule.alpha(t[0]), schedule.sigma(t[0]).square()))
    h = float(t[1] - t[0])
    for start in t[:-1]:
        k1 = _rate(schedule, start, state)
        k2 = _rate(schedule, start + h / 2, state + h / 2 * k1)
        k3 = _rate(schedule, start + h / 2, state + h / 2 * k2)
        k4 = _rate(schedule, start + h, state + h * k3)
        state = state + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
    end = t[-1]
    return float((state[0] / schedule.alpha(end) - 1).abs()), float((state[1].sqrt() / schedule.sigma(end) - 1).abs())


def _rate(schedule: Schedule, t: Tensor, state: Tensor) -> Tensor:
    f, g = schedule.drift(t), schedule.diffusion(t)
    return torch.stack((f * state[0], 2 * f * state[1] + g.square()))


def _run(schedule: Schedule, num_steps: int, num: int, generator: torch.Generator) -> tuple[float, float]:
    """Mean over alpha x_0 and standard deviation over sigma of x at END, begun at X0."""
    t = torch.linspace(0, END, num_steps + 1, dtype=torch.float64)
    x = torch.full((num,), X0, dtype=torch.float64)
    h = float(t[1] - t[0])
    f, g = schedule.drift(t + h / 2), schedule.diffusion(t + h / 2)
    for i in range(num_steps):
        x = x + f[i] * x * h + g[i] * h**0.5 * torch.randn(num, generator=generator, dtype=torch.float64)
    end = t[-1]
    mean = float((x.mean() - schedule.alpha(end) * X0) / schedule.sigma(end))
    return mean, float(x.std() / schedule.sigma(end))


def _sums(num: int) -> dict[str, float]:
    """Standard deviation at t = 1 of num increments of a pure noise, by the power of dt that each has."""
    dt = 1 / num
    return {"1/2": (num * dt) ** 0.5, "1": (num * dt**2) ** 0.5}


def _closed() -> float:
    """f = -10 t and g^2 = 20 t for exp(-5 t^2)."""
    schedule, t = SCHEDULES["article, exp(-5 t²)"], torch.linspace(0.01, 1, 100, dtype=torch.float64)
    off = (schedule.drift(t) / (-10 * t) - 1).abs(), (schedule.diffusion(t).square() / (20 * t) - 1).abs()
    return float(torch.stack(off).max())


def show(result: Any, page: Page, pictures: Pictures) -> Sequence[Claim]:
    """Two tables."""
    page.heading("From alpha and sigma to the SDE")
    page.text(
        f"""f = d log alpha / dt and g² = alpha² d(sigma² / alpha²) / dt, put into the equations of mean and variance
        and integrated from t = {START} to {END}: relative errors of alpha and sigma. And the SDE run forward from x =
        {X0} in steps: the mean's distance from alpha x_0 in standard deviations, and the standard deviation over
        sigma. For exp(-5 t²) f = -10 t and g² = 20 t hold to {result["closed"]:.0e}."""
    )
    page.table(
        ["schedule", "alpha", "sigma", "run: mean", "run: std"],
        [
            [name, *(f"{value:.0e}" for value in result["moments"][name]), *(f"{value:.4f}" for value in run)]
            for name, run in result["runs"].items()
        ],
    )
    page.text(
        "The noise of t = 0 to 1 where each of N steps adds g dt^p z with g = 1, by p: "
        + "; ".join(
            f"{num} steps {sums['1/2']:.3f} (p = 1/2), {sums['1']:.3f} (p = 1)" for num, sums in result["sums"].items()
        )
        + "."
    )
    worst = max(value for errors in result["moments"].values() for value in errors)
    run = max(max(abs(mean), abs(std - 1)) for mean, std in result["runs"].values())
    sums = result["sums"]["1000"]
    return [
        judge(
            "f and g² follow from alpha and sigma alone, for any pair",
            worst < 1e-5,
            f"alpha and sigma come back to {worst:.0e}; a run of the SDE to {run:.3f}",
        ),
        judge(
            "The noise of a step has to go with the root of dt, or it averages out",
            sums["1"] < 0.05 and abs(sums["1/2"] - 1) < 1e-9,
            f"1000 steps: {sums['1/2']:.2f} and {sums['1']:.3f}",
        ),
    ]
