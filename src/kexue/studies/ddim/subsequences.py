"""Any part of the chain is a chain: with the alpha of its own steps, not with that of single steps of the long one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from statistics import mean
from typing import Any

import torch

from kexue.diffusion import DDIM, ArticleSchedule, DiscreteBetas, Trailing
from kexue.diffusion.exact import answer, f64, marginal, variance_of
from kexue.studies import digits as data
from kexue.studies.claims import Claim, judge
from kexue.studies.ddim.trained import network
from kexue.studies.lab import Lab
from kexue.studies.networks import Form
from kexue.studies.page import Page, spread
from kexue.studies.pictures import Pictures

NUM_STEPS = 1000
SCHEDULE = ArticleSchedule(NUM_STEPS)
VARIANCE = 0.25
EXACT = 1e-9
LABELS = {
    "part": "part of the long chain, eta = 1",
    "alone": "a chain by itself, eta = 1",
    "right": "part of the long chain, eta = 0",
    "wrong": "the same with the wrong alpha",
}


def measure(lab: Lab) -> Any:
    """A chain by itself against a part of a longer one; the wrong alpha; networks trained on all times and on few."""
    lengths = lab.pick((10,), (10, 20, 50, 100))
    closed = {str(num): _closed(num) for num in lengths}
    chains = lab.pick((5,), (10, 50))
    seeds = lab.seeds(lab.pick(1, 2, 5))
    trained = {
        str(num): [lab.keep(f"chain {num}, seed {seed}", partial(_trained, lab, num, seed)) for seed in seeds]
        for num in chains
    }
    return {"closed": closed, "trained": trained}


def _closed(num: int) -> dict[str, float]:
    """Variances over the data's: the part of a chain, the chain of these alphas by itself, the wrong alphas."""
    times = Trailing(NUM_STEPS).times(SCHEDULE, num)
    start = marginal(SCHEDULE, 1.0, VARIANCE)
    part = variance_of(DDIM(1.0), SCHEDULE, times, VARIANCE, start=start)
    own = DiscreteBetas((-torch.expm1(2 * SCHEDULE.log_alpha(times).flip(0).diff())).tolist())
    even = torch.linspace(1, 0, num + 1, dtype=torch.float64)
    alone = variance_of(DDIM(1.0), own, even, VARIANCE, start=start)
    right = variance_of(DDIM(0.0), SCHEDULE, times, VARIANCE, start=start)
    variances = {"part": part, "alone": alone, "right": right, "wrong": _wrong(times, start)}
    return {name: value / VARIANCE for name, value in variances.items()}


def _wrong(times: torch.Tensor, start: float) -> float:
    """(x_t - (sigma_t - alpha sigma_s) eps) / alpha, with the alpha of one step of the long chain at t. eta = 0."""
    x = f64([[math.sqrt(start)]])
    denoise = answer(SCHEDULE, VARIANCE)
    for t, s in pairwise(times.tolist()):
        alpha = SCHEDULE.step_alpha(f64(t), f64(t - 1 / NUM_STEPS))
        eps = denoise(x, f64([t])).eps
        x = (x - (SCHEDULE.sigma(f64(t)) - alpha * SCHEDULE.sigma(f64(s))) * eps) / alpha
    return float(x.square())


def _trained(lab: Lab, num: int, seed: int) -> dict[str, float]:
    """Distances of samples in `num` steps, by a network that saw all 1000 times and by one that saw these alone."""
    return {
        name: data.digits()
        .judge(
            data.draw(
                network(lab, Form(), seed, chain),
                DDIM(0.0),
                num,
                data.num_drawn(lab),
                seed,
                grid=Trailing(NUM_STEPS),
                device=lab.device,
            )
        )
        .distance
        for name, chain in (("all", None), ("own", num))
    }


def show(result: Any, page: Page, pictures: Pictures) -> Sequence[Claim]:
    """Two tables."""
    page.heading("A part of the chain")
    page.text(
        f"""N(0, {VARIANCE}), exact denoiser: the variance of what is sampled over that of the data, by S steps of the
        chain of {NUM_STEPS} (eta = 1), by the chain of S steps that has these alphas as its own; and with eta = 0, as
        it should be and where alpha_t is that of one step of the long chain in place of the ratio of two."""
    )
    closed = result["closed"]
    page.table(
        ["", *(f"S = {num}" for num in closed)],
        [[name, *(f"{values[key]:.6g}" for values in closed.values())] for key, name in LABELS.items()],
    )
    page.text(
        """The digits, DDIM with S steps, networks trained on all 1000 times or on the S times alone: Fréchet distance,
        mean and standard deviation over seeds."""
    )
    trained = result["trained"]
    page.table(
        ["trained on", *(f"S = {num}" for num in trained)],
        [
            [name, *(spread([run[key] for run in runs], 2) for runs in trained.values())]
            for key, name in (("all", "all 1000 times"), ("own", "the S times"))
        ],
    )
    same = max(abs(values["part"] / values["alone"] - 1) for values in closed.values())
    worse = [abs(values["wrong"] - 1) / abs(values["right"] - 1) for values in closed.values()]
    wrong = [values["wrong"] for values in closed.values()]
    ratios = {num: mean(run["all"] for run in runs) / mean(run["own"] for run in runs) for num, runs in trained.items()}
    return [
        judge(
            "S steps of the long chain are a chain of their own, so training on T covers every S",
            same < EXACT,
            f"variances agree to {same:.0e}",
        ),
        judge(
            "alpha has to be the ratio over the step, not that of one step of the long chain",
            min(worse) > 1.2,
            f"else the variance is {min(wrong):.2g} to {max(wrong):.2g} times that of the data, and the error "
            f"{min(worse):.1f} to {max(worse):.1f} times as large",
        ),
        judge(
            "It is still better to train on many times",
            all(ratio < 0.95 for ratio in ratios.values()),
            "distance trained on all times over that trained on the S times alone: "
            + ", ".join(f"{ratio:.2f} (S = {num})" for num, ratio in ratios.items()),
            partly=any(ratio < 0.95 for ratio in ratios.values()),
        ),
    ]
