"""One p(x_t | x_0) for every sigma_t: the chain of DDIM's kernels, in closed form, for noise chosen at random.

x_s = kappa x_t + lambda x_0 + n z,   kappa = sqrt(sigma_s^2 - n^2) / sigma_t,   lambda = alpha_s - alpha_t kappa
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from kexue.diffusion import DDIM, VE, ArticleSchedule, Cosine, Schedule, SubVP, UniformTime
from kexue.diffusion.exact import marginal, variance_of
from kexue.studies.claims import Claim, judge
from kexue.studies.lab import Lab
from kexue.studies.page import Page
from kexue.studies.pictures import Pictures

SCHEDULES: dict[str, Schedule] = {
    "article": ArticleSchedule(),
    "cosine": Cosine(),
    "sub-VP (alpha² + sigma² < 1)": SubVP(),
    "VE (alpha = 1)": VE(),
}
X0 = 0.7
VARIANCE = 0.25
ETAS = (0.0, 0.5, 1.0)
EXACT = 1e-10
NUM_STEPS = 1000


def measure(lab: Lab) -> Any:
    """Errors given x_0; variances without it; where beta is too much noise."""
    lengths = lab.pick((10,), (10, 50, 1000))
    given = {
        name: [max(values) for values in zip(*(_given(lab, schedule, num) for num in lengths), strict=True)]
        for name, schedule in SCHEDULES.items()
    }
    free = {
        f"{eta:g}": {str(num): _free(eta, num) for num in lab.pick((10,), (5, 10, 20, 50, 100, 1000))} for eta in ETAS
    }
    too_much = {str(num): _too_much(NUM_STEPS // num) for num in (1000, 200, 100, 20)}
    return {"given": given, "free": free, "too_much": too_much}


def _given(lab: Lab, schedule: Schedule, num_steps: int) -> tuple[float, float]:
    """Largest relative errors of mean and standard deviation of x_s given x_0, over 20 random choices of all noises."""
    times = UniformTime(end=1e-3).times(schedule, num_steps)
    alpha, sigma = schedule.alpha(times), schedule.sigma(times)
    share = torch.rand(20, num_steps, generator=lab.generator(num_steps), dtype=torch.float64)
    mean, std = alpha[:1] * X0, sigma[:1]
    worst = [0.0, 0.0]
    for i in range(num_steps):
        mean, std = _kernel(alpha[i : i + 2], sigma[i : i + 2], share[:, i], mean, std)
        off = (mean / (alpha[i + 1] * X0) - 1).abs().max(), (std / sigma[i + 1] - 1).abs().max()
        worst = [max(a, float(b)) for a, b in zip(worst, off, strict=True)]
    return worst[0], worst[1]


def _kernel(alpha: Tensor, sigma: Tensor, share: Tensor, mean: Tensor, std: Tensor) -> tuple[Tensor, Tensor]:
    noise = share * sigma[1]
    kappa = (sigma[1].square() - noise.square()).sqrt() / sigma[0]
    factor = alpha[1] - alpha[0] * kappa
    return kappa * mean + factor * X0, (kappa.square() * std.square() + noise.square()).sqrt()


def _free(eta: float, num_steps: int) -> float:
    """Variance of samples over that of the data N(0, VARIANCE), noise in the last step too."""
    schedule = SCHEDULES["article"]
    times = UniformTime().times(schedule, num_steps)
    start = marginal(schedule, 1.0, VARIANCE)
    return variance_of(DDIM(eta), schedule, times, VARIANCE, start=start, last_noise=True) / VARIANCE


def _too_much(stride: int) -> list[int]:
    """The steps (from the data, first is 1) at which beta_t^2 > sigma_s^2."""
    schedule = SCHEDULES["article"]
    t = torch.arange(stride, NUM_STEPS + 1, stride, dtype=torch.float64) / NUM_STEPS
    s = torch.cat((torch.zeros(1, dtype=torch.float64), t[:-1]))
    return (torch.nonzero(schedule.step_sigma(t, s) > schedule.sigma(s))[:, 0] + 1).tolist()


def show(result: Any, page: Page, pictures: Pictures) -> Sequence[Claim]:
    """Two tables."""
    page.heading("One marginal, any noise")
    page.text(
        """The chain of kernels from x_1 to the data given x_0, with the noise of every step drawn evenly from 0 to
        all of sigma_s, 20 times, in closed form: the largest relative error of mean and standard deviation at any
        step of 10, 50 or 1000."""
    )
    page.table(
        ["schedule", "mean", "standard deviation"],
        [[name, *(f"{value:.0e}" for value in errors)] for name, errors in result["given"].items()],
    )
    page.text(
        f"""x_0 is not given in sampling but guessed. For N(0, {VARIANCE}) and the exact guess the variance of what is
        sampled over that of the data is:"""
    )
    lengths = list(result["free"]["0"])
    page.table(
        ["eta", *(f"{num} steps" for num in lengths)],
        [[eta, *(f"{value:.4f}" for value in values.values())] for eta, values in result["free"].items()],
    )
    page.text(
        "sigma_t = beta_t cannot be put into the formula at these steps, counted from the data, as the root would be "
        "of a negative number: "
        + "; ".join(f"{', '.join(map(str, steps))} of {num}" for num, steps in result["too_much"].items())
        + ". The sampler that the tables call sigma-hat keeps the mean of eta = 1 and enlarges the noise alone."
    )
    worst = max(value for errors in result["given"].values() for value in errors)
    last, first = lengths[-1], lengths[0]
    few = {eta: values[first] for eta, values in result["free"].items()}
    many = {eta: values[last] for eta, values in result["free"].items()}
    return [
        judge(
            "p(x_t given x_0) is the same for every sigma_t, whether alpha² + sigma² is 1 or not",
            worst < EXACT,
            f"to {worst:.0e}, noise of every step at random",
        ),
        judge(
            "So every sigma_t samples the data",
            max(abs(value - 1) for value in few.values()) < 0.02,
            f"with many steps: variances {min(many.values()):.4f} to {max(many.values()):.4f} of the right one at "
            f"{last}, "
            f"{min(few.values()):.3f} to {max(few.values()):.3f} at {first}, as x_0 is guessed",
            partly=max(abs(value - 1) for value in many.values()) < 0.05,
        ),
        judge(
            "sigma_t = beta_t is one of the cases of the formula",
            not any(result["too_much"].values()),
            f"not at the first {len(result['too_much']['1000'])} steps of 1000, nor at the first "
            f"{len(result['too_much']['20'])} of 20: more noise than there is",
            partly=True,
        ),
    ]
