"""p(x_s | x_t, x_0) by Bayes: the formula against two densities multiplied on a grid, and the VAE's mean."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from kexue.diffusion import VE, ArticleSchedule, Schedule, SubVP
from kexue.studies.claims import Claim, judge
from kexue.studies.lab import Lab
from kexue.studies.page import Page
from kexue.studies.pictures import Pictures

NUM_STEPS = 1000
PLACES = (2, 10, 100, 500, 999)
SCHEDULES: dict[str, Schedule] = {"article": ArticleSchedule(NUM_STEPS), "sub-VP": SubVP(), "VE": VE()}
POINTS = 20001
X0, X_T = 0.7, -0.4
EXACT = 1e-7


def measure(lab: Lab) -> Any:
    """Largest relative errors of mean and variance by schedule; of the two ways to the mean."""
    grid = {
        name: [max(errors) for errors in zip(*(_errors(schedule, place) for place in PLACES), strict=True)]
        for name, schedule in SCHEDULES.items()
    }
    return {"grid": grid, "routes": _routes()}


def _errors(schedule: Schedule, place: int) -> tuple[float, float]:
    t, s = (torch.tensor(k / NUM_STEPS, dtype=torch.float64) for k in (place, place - 1))
    formula = schedule.posterior(t, s)
    mean, std = float(formula.on_x_t * X_T + formula.on_x0 * X0), float(formula.variance.sqrt())
    x = mean + 12 * std * torch.linspace(-1, 1, POINTS, dtype=torch.float64)
    forward = _log_normal(X_T, schedule.step_alpha(t, s) * x, schedule.step_sigma(t, s))
    before = _log_normal(x, schedule.alpha(s) * X0, schedule.sigma(s))
    share = (forward + before).softmax(0)
    found = float((share * x).sum())
    variance = float((share * (x - found).square()).sum())
    return abs(found - mean) / std, abs(variance / std**2 - 1)


def _log_normal(x: Tensor | float, mean: Tensor, std: Tensor) -> Tensor:
    return -((x - mean) / std).square() / 2 - torch.log(std)


def _routes() -> float:
    """The mean with x_0 = (x_t - sigma eps) / alpha against (x_t - beta^2 / sigma eps) / alpha_t, for eps = 0.3."""
    t = torch.arange(1, NUM_STEPS + 1, dtype=torch.float64) / NUM_STEPS
    s = (t - 1 / NUM_STEPS).clamp(min=0)
    schedule, eps = SCHEDULES["article"], 0.3
    step = schedule.posterior(t, s)
    bayes = step.on_x_t * X_T + step.on_x0 * (X_T - schedule.sigma(t) * eps) / schedule.alpha(t)
    vae = (X_T - schedule.step_sigma(t, s).square() / schedule.sigma(t) * eps) / schedule.step_alpha(t, s)
    return float((bayes - vae).abs().max())


def show(result: Any, page: Page, pictures: Pictures) -> Sequence[Claim]:
    """One table."""
    page.heading("The posterior")
    page.text(
        f"""p(x_t | x_s) p(x_s | x_0), multiplied on {POINTS:,} points and normalised, against the formula, at the steps
        {", ".join(map(str, PLACES))} of {NUM_STEPS}: the largest error of the mean, in standard deviations, and of the
        variance, relative. The mean with x_0 replaced by (x_t - sigma eps) / alpha and that of the VAE,
        (x_t - beta² / sigma eps) / alpha_t, differ by {result["routes"]:.0e} at most over all steps."""
    )
    page.table(
        ["schedule", "mean", "variance"],
        [[name, *(f"{value:.0e}" for value in errors)] for name, errors in result["grid"].items()],
    )
    worst = max(value for errors in result["grid"].values() for value in errors)
    return [
        judge(
            "p(x_s | x_t, x_0) is the Gaussian of the article",
            worst < EXACT,
            f"to {worst:.0e}, for schedules that do not preserve the variance too",
        ),
        judge(
            "Bayes with a guess of x_0 leads to the same sampler as the VAE",
            result["routes"] < EXACT,
            f"the means agree to {result['routes']:.0e}, {math.floor(-math.log10(result['routes'] + 1e-17))} digits",
        ),
    ]
