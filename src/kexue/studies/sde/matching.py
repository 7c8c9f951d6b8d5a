"""Score matching: the score as a weighted mean, its loss up to a constant, and what the weights do.

grad log p_t(x) = sum_i w_i(x) * -(x - alpha x_i) / sigma^2,   w = softmax of log N(x; alpha x_i, sigma^2)
E |s - grad log p(x_t | x_0)|^2 = E |s - grad log p(x_t)|^2 + a constant
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from kexue.diffusion import ArticleLimit
from kexue.diffusion.exact import MixtureData, f64
from kexue.studies import digits as data
from kexue.studies.claims import Claim, judge
from kexue.studies.lab import Lab
from kexue.studies.page import Page
from kexue.studies.pictures import Pictures

SCHEDULE = ArticleLimit()
DATA = MixtureData.three_modes()
TIMES = (0.1, 0.3, 0.6)
Guess = Callable[[Tensor, Tensor], Tensor]
"""guess(x, score) -> another score."""
GUESSES: dict[str, Guess] = {
    "the score itself": lambda x, score: score,
    "half of it": lambda x, score: score / 2,
    "-x": lambda x, score: -x,
    "sin x": lambda x, score: x.sin(),
}


def measure(lab: Lab) -> Any:
    """Constants by time and guess; errors of the weighted mean and of eps; the spread of weights over times."""
    num = lab.pick(2000, 300_000)
    constants = {f"{t:g}": {name: _constant(t, guess, num, lab) for name, guess in GUESSES.items()} for t in TIMES}
    return {"constants": constants, "mean": _weighted_mean(lab), "eps": _eps(lab)}


def _constant(time: float, guess: Guess, num: int, lab: Lab) -> tuple[float, float]:
    """The mean of denoising less explicit loss, and its standard error."""
    x0, t = DATA.sample(num, seed=lab.seed), torch.full((num,), time, dtype=torch.float64)
    eps = torch.randn(num, 1, generator=lab.generator(1), dtype=torch.float64)
    x_t = SCHEDULE.add_noise(x0, eps, t)
    score = DATA.denoiser(SCHEDULE)(x_t, t).score
    wanted = -eps / SCHEDULE.sigma(t)[:, None]
    said = guess(x_t, score)
    difference = ((said - wanted).square() - (said - score).square())[:, 0]
    return float(difference.mean()), float(difference.std()) / math.sqrt(num)


def _weighted_mean(lab: Lab) -> float:
    """The formula on digits against the derivative of log p by automatic differentiation, relative."""
    points = data.digits().train[: lab.pick(50, 1200)].flatten(1).double()
    worst = 0.0
    for time in TIMES:
        t = f64(time)
        alpha, sigma = SCHEDULE.alpha(t), SCHEDULE.sigma(t)
        noise = torch.randn(8, points.shape[1], generator=lab.generator(2), dtype=torch.float64)
        x = (alpha * points[:8] + sigma * noise).requires_grad_()
        logs = -(x[:, None] - alpha * points).square().sum(-1) / (2 * sigma.square())
        (derivative,) = torch.autograd.grad(logs.logsumexp(1).sum(), x)
        with torch.no_grad():
            towards = -(x[:, None] - alpha * points) / sigma.square()
            formula = (logs.softmax(1)[..., None] * towards).sum(1)
        worst = max(worst, float((formula - derivative).norm() / derivative.norm()))
    return worst


def _eps(lab: Lab) -> float:
    """|score - wanted|^2 against |eps_hat - eps|^2 / sigma^2, largest relative difference over draws."""
    num = 1000
    t = 0.05 + 0.9 * torch.rand(num, generator=lab.generator(3), dtype=torch.float64)
    eps = torch.randn(num, 1, generator=lab.generator(4), dtype=torch.float64)
    said = DATA.denoiser(SCHEDULE)(SCHEDULE.add_noise(DATA.sample(num, seed=lab.seed), eps, t), t)
    sigma = SCHEDULE.sigma(t)[:, None]
    by_score, by_eps = (said.score + eps / sigma).square(), (said.eps - eps).square() / sigma.square()
    return float(((by_score - by_eps) / by_eps).abs().max())


def show(result: Any, page: Page, pictures: Pictures) -> Sequence[Claim]:
    """The constants."""
    page.heading("Score matching")
    page.text(
        f"""On the digits, as points, the weighted mean of the conditional scores is the derivative of log p_t to
        {result["mean"]:.0e}. For three modes: the denoising loss less that to the true score, for four functions in
        place of a network; it should not depend on the function."""
    )
    page.table(
        ["t", *GUESSES],
        [
            [t, *(f"{value:.4f} ± {error:.4f}" for value, error in row.values())]
            for t, row in result["constants"].items()
        ],
    )
    off = []
    for row in result["constants"].values():
        base, base_error = row["the score itself"]
        off += [abs(value - base) / math.hypot(error, base_error) for value, error in row.values()]
    return [
        judge("The score is a weighted mean of conditional scores", result["mean"] < 1e-9, f"to {result['mean']:.0e}"),
        judge(
            "Matching the conditional score is matching the score, up to a constant",
            max(off) < 4,
            f"the constants of four functions agree at {len(result['constants'])} times, within {max(off):.1f} "
            "standard errors",
        ),
        judge(
            "Predicting eps is predicting the score, with the weight 1 / sigma²",
            result["eps"] < 1e-6,
            f"losses agree to {result['eps']:.0e}",
        ),
    ]
