"""sigma_t = 0 is Euler's method for an ODE: the same numbers, its order, and better methods."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from kexue.diffusion import DDIM, Adams, ArticleLimit, Euler, Heun, Multistep, Sampler, UniformTime, sample
from kexue.diffusion.exact import answer, f64
from kexue.studies.claims import Claim, judge
from kexue.studies.lab import Lab
from kexue.studies.page import Page
from kexue.studies.pictures import Pictures

SCHEDULE = ArticleLimit()
VARIANCE, MEAN, START = 0.16, 0.5, 1.3
SAMPLERS: dict[str, tuple[Sampler, int]] = {
    "DDIM": (DDIM(), 1),
    "Euler in t": (Euler(), 1),
    "Heun": (Heun(), 2),
    "multistep (2M)": (Multistep(), 1),
    "Adams": (Adams(), 1),
}
"""With the network calls of a step."""
EXACT = 1e-9


def measure(lab: Lab) -> Any:
    """Errors by sampler and network calls; the three forms of the step and of the equation."""
    calls = lab.pick((20, 40), (20, 40, 80, 160, 320, 640))
    errors = {
        name: {str(num): _error(sampler, num // each) for num in calls} for name, (sampler, each) in SAMPLERS.items()
    }
    return {"errors": errors, "forms": _forms(), "equations": _equations()}


def _truth() -> float:
    """Where the ODE brings START: distances to the mean shrink as the standard deviation does."""
    alpha, sigma = (float(c(f64(1.0))) for c in (SCHEDULE.alpha, SCHEDULE.sigma))
    std = math.sqrt(alpha**2 * VARIANCE + sigma**2)
    return MEAN + math.sqrt(VARIANCE) * (START - alpha * MEAN) / std


def _error(sampler: Sampler, num_steps: int) -> float:
    noise = f64([[START / SCHEDULE.prior_std]])
    end = sample(answer(SCHEDULE, VARIANCE, MEAN), SCHEDULE, noise, sampler, num_steps, grid=UniformTime())
    return abs(float(end) - _truth())


def _forms() -> float:
    """The article's step against Euler for d(x/alpha) = eps d(sigma/alpha), and against alpha_s x_0 + sigma_s eps."""
    t = f64([k / 100 for k in range(2, 101)])
    s, x, eps = t - 0.01, 0.3, -0.8
    alpha_t, sigma_t, alpha_s, sigma_s = (c(time) for time in (t, s) for c in (SCHEDULE.alpha, SCHEDULE.sigma))
    a = alpha_t / alpha_s
    article = (x - (sigma_t - a * sigma_s) * eps) / a
    euler = alpha_s * (x / alpha_t + eps * (sigma_s / alpha_s - sigma_t / alpha_t))
    paper = alpha_s * (x - sigma_t * eps) / alpha_t + sigma_s * eps
    return float(torch.stack((article - euler, article - paper)).abs().max())


def _equations() -> dict[str, float]:
    """The rate of x in the article's two explicit forms against that of the schedule, relative."""
    x, eps = 0.3, -0.8
    s = f64([0.05, 0.2, 0.5, 0.8, 1.0])
    rates = SCHEDULE.rates(s)
    x0 = (x - SCHEDULE.sigma(s) * eps) / SCHEDULE.alpha(s)
    ours = rates[0] * x0 + rates[1] * eps

    def rate(speed: Tensor, exponent: Tensor) -> Tensor:
        return speed * (eps / torch.sqrt(-torch.expm1(-exponent)) - x)

    first = rate(10 * s, 10 * s**2)
    u = s**2  # the second form's time, of which t is the root
    second = rate(f64(5.0), 10 * u) * 2 * s  # du/dt = 2 t
    return {
        "exp(-5 s²)": float((first / ours - 1).abs().max()),
        "exp(-5 s)": float((second / ours - 1).abs().max()),
    }


def orders(errors: dict[str, float]) -> float:
    """How fast errors fall with the last doubling of the calls."""
    *_, (one, before), (other, after) = errors.items()
    return math.log(before / after) / math.log(int(other) / int(one))


def show(result: Any, page: Page, pictures: Pictures) -> Sequence[Claim]:
    """A table and a picture."""
    page.heading("The equation")
    page.text(
        f"""N({MEAN}, {VARIANCE}), exact denoiser, alpha = exp(-5 t²), equal steps of t: the distance to where the ODE
        leads, which is known in closed form, by network calls, and the order that the last doubling shows. The
        article's step, Euler's for d(x / alpha) = eps d(sigma / alpha) and alpha_s x_0 + sigma_s eps differ by
        {result["forms"]:.0e} at most."""
    )
    calls = list(result["errors"]["DDIM"])
    page.table(
        ["", *(f"{num} calls" for num in calls), "order"],
        [
            [name, *(f"{value:.1e}" for value in values.values()), f"{orders(values):.1f}"]
            for name, values in result["errors"].items()
        ],
    )

    def plot(figure: Any) -> None:
        panel = figure.subplots()
        for name, values in result["errors"].items():
            panel.plot([int(num) for num in values], list(values.values()), "o-", label=name)
        panel.set(xscale="log", yscale="log", xlabel="network calls", ylabel="error of x (units of the data)")
        panel.legend(fontsize=8)
        panel.grid(alpha=0.3)

    pictures.draw(page, "equation", "Error of the ODE by network calls", plot)
    found = {name: orders(values) for name, values in result["errors"].items()}
    worst = max(result["equations"].values())
    last = calls[-1]
    return [
        judge(
            "DDIM is Euler's method for d(x / alpha) = eps d(sigma / alpha)",
            result["forms"] < EXACT and 0.8 < found["DDIM"] < 1.3,
            f"the steps agree to {result['forms']:.0e}; its error falls with order {found['DDIM']:.1f}",
        ),
        judge(
            "The article's two explicit equations, for exp(-5 s²) and exp(-5 s), are that ODE",
            worst < 1e-6,
            f"rates agree to {worst:.0e}",
        ),
        judge(
            "Better methods (Heun) get nearer at equal cost",
            result["errors"]["Heun"][last] < result["errors"]["DDIM"][last] / 2 and found["Heun"] > 1.6,
            f"order {found['Heun']:.1f}; {result['errors']['Heun'][last]:.0e} against "
            f"{result['errors']['DDIM'][last]:.0e} at {last} calls",
        ),
    ]
