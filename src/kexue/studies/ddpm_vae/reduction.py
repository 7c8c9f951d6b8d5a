"""Integrating out the noise that cannot be known: the same mean gradient, with less variance.

    unreduced   |eps_step - eps_hat|^2         x_t made of x_s and a noise of its own
    reduced     beta^2 / sigma_t^2 |eps - (sigma_t / beta) eps_hat|^2  +  a constant

on a linear model eps_hat = (beta / sigma_t) w x_t of data -1 and 1, at the w that is best.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from kexue.diffusion import ArticleSchedule, NetworkDenoiser, training_loss
from kexue.diffusion.objectives import LastStep, unreduced_excess, unreduced_loss
from kexue.studies.claims import Claim, judge
from kexue.studies.lab import Lab
from kexue.studies.page import Page
from kexue.studies.pictures import Pictures

NUM_STEPS = 1000
PLACES = (11, 101, 301, 501, 701, 901)
SCHEDULE = ArticleSchedule(NUM_STEPS)


def measure(lab: Lab) -> Any:
    """Means of both losses and variances of both gradients by t, for the best w and for w = 0."""
    num = lab.pick(20_000, 100_000)
    generator = lab.generator()
    return [_row(place, best, num, generator) for place in PLACES for best in (True, False)]


def _row(place: int, best: bool, num: int, generator: torch.Generator) -> dict[str, Any]:
    x0 = 2.0 * torch.randint(0, 2, (num, 1), generator=generator).double() - 1
    t = torch.full((num,), place / NUM_STEPS, dtype=torch.float64)
    w = float(SCHEDULE.sigma(t[0])) if best else 0.0  # the slope of eps over x_t where x_0^2 = 1
    noises = torch.randn(3, num, 1, generator=generator, dtype=torch.float64)
    objective = LastStep(NUM_STEPS)
    reduced = _gradient(w, num, lambda d: training_loss(d, SCHEDULE, objective, x0, t, noises[0]))
    naive = _gradient(w, num, lambda d: unreduced_loss(d, SCHEDULE, NUM_STEPS, x0, t, noises[1], noises[2]))
    excess = float(unreduced_excess(SCHEDULE, NUM_STEPS, t[:1]))
    return {
        "t": place,
        "best": best,
        "difference": float(naive[0].mean() - reduced[0].mean()),
        "error": math.sqrt(float(naive[0].var() + reduced[0].var()) / num),
        "constant": excess,
        "gradients": [float(part[1].mean()) for part in (naive, reduced)],
        "gradient_error": math.sqrt(float(naive[1].var() + reduced[1].var()) / num),
        "ratio": float(naive[1].var() / reduced[1].var()),
    }


def _gradient(w: float, num: int, loss: Any) -> tuple[Tensor, Tensor]:
    """Loss and derivative in w of each sample."""
    own = torch.full((num, 1), w, dtype=torch.float64, requires_grad=True)
    losses = loss(NetworkDenoiser(lambda x, t: own * x, SCHEDULE))
    (gradient,) = torch.autograd.grad(losses.sum(), own)
    return losses.detach(), gradient[:, 0]


def show(result: Any, page: Page, pictures: Pictures) -> Sequence[Claim]:
    """One row for each t."""
    page.heading("The loss with and without the noise that cannot be known")
    page.text(
        f"""Data -1 and 1, a linear model, T = {NUM_STEPS}: the mean of the unreduced loss less that of the reduced one
        beside the constant alpha_t² sigma_(t-1)² / sigma_t², and how many times the variance of the gradient of the
        unreduced loss is that of the reduced, at the best weight and at weight 0."""
    )
    page.table(
        ["t", "difference of the means", "constant", "ratio of variances, best weight", "weight 0"],
        [
            [
                str(best["t"]),
                f"{best['difference']:.5f} ± {best['error']:.5f}",
                f"{best['constant']:.5f}",
                f"{best['ratio']:.1f}",
                f"{zero['ratio']:.1f}",
            ]
            for best, zero in zip(result[::2], result[1::2], strict=True)
        ],
    )
    same = all(
        abs(row["difference"] - row["constant"]) < 4.5 * row["error"]
        and abs(row["gradients"][0] - row["gradients"][1]) < 4.5 * row["gradient_error"]
        for row in result
    )
    ratios = [row["ratio"] for row in result]
    return [
        judge(
            "Both losses differ by a constant, so they have one gradient in the mean",
            same,
            f"at {len(result)} points, within 4.5 standard errors",
        ),
        judge(
            "The unreduced loss has the larger variance, which makes training harder",
            min(ratios) > 1,
            f"{min(ratios):.1f} to {max(ratios):.0f} times the variance of the gradient; what that does to a training: "
            "see below",
        ),
    ]
