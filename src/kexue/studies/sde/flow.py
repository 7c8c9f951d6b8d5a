"""The laws themselves: p_t of three modes put into the equations that the SDE and the flow say it obeys.

Fokker-Planck    dp/dt = -d(f x p)/dx + g^2/2 d^2p/dx^2
continuity       dp/dt = -d(v p)/dx,   v = f x - g^2 score / 2
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from kexue.diffusion import VE, ArticleLimit, Likelihood, LinearVP, Schedule, SubVP, log_likelihood
from kexue.diffusion.exact import MixtureData
from kexue.studies.claims import Claim, judge
from kexue.studies.lab import Lab
from kexue.studies.page import Page
from kexue.studies.pictures import Pictures

SCHEDULES: dict[str, Schedule] = {
    "article": ArticleLimit(),
    "linear VP": LinearVP(),
    "sub-VP": SubVP(),
    "VE": VE(0.01, 10.0),
}
DATA = MixtureData.three_modes()
TIMES = (0.05, 0.2, 0.5, 0.8)


def measure(lab: Lab) -> Any:
    """Residuals and likelihoods by schedule."""
    return {name: _residuals(schedule) | _likelihood(schedule, lab) for name, schedule in SCHEDULES.items()}


def _density(schedule: Schedule, x: Tensor, t: Tensor) -> Tensor:
    """p_t(x), differentiable in both, which the law of `MixtureData.at` is not in t."""
    alpha, sigma = schedule.alpha(t)[:, None], schedule.sigma(t)[:, None]
    variances = (alpha * DATA.stds).square() + sigma.square()
    away = x[:, None] - alpha * DATA.means[:, 0]
    return (DATA.weights * torch.exp(-away.square() / variances / 2) / (2 * torch.pi * variances).sqrt()).sum(1)


def _residuals(schedule: Schedule) -> dict[str, float]:
    """Largest residuals over x and t, relative to the largest rate."""
    worst = {"fokker_planck": 0.0, "continuity": 0.0}
    for time in TIMES:
        x = torch.linspace(-3, 3, 401, dtype=torch.float64, requires_grad=True)
        t = torch.full_like(x, time).requires_grad_()
        p = _density(schedule, x, t)
        in_x, in_t = torch.autograd.grad(p.sum(), (x, t), create_graph=True)
        (twice,) = torch.autograd.grad(in_x.sum(), x, retain_graph=True)
        f, g = schedule.drift(t.detach()), schedule.diffusion(t.detach())
        planck = -f * (p + x * in_x) + g.square() / 2 * twice
        velocity = f * x - g.square() / 2 * in_x / p
        (carried,) = torch.autograd.grad((velocity * p).sum(), x)
        rate, planck = in_t.detach(), planck.detach()
        for name, off in (("fokker_planck", rate - planck), ("continuity", rate + carried.detach())):
            worst[name] = max(worst[name], float(off.abs().max() / rate.abs().max()))
    return worst


def _likelihood(schedule: Schedule, lab: Lab) -> dict[str, Any]:
    """log p by the flow against the truth, on draws of the data, in nats."""
    x = DATA.sample(lab.pick(20, 400), seed=lab.seed)
    found: Likelihood = log_likelihood(DATA.denoiser(schedule), schedule, x)
    off = found.log_prob - DATA.log_prob(x)
    return {
        "bias": float(off.mean()),
        "rms": float(off.square().mean().sqrt()),
        "mismatch": float(found.prior_mismatch.mean()),
        "calls": found.num_calls,
    }


def show(result: Any, page: Page, pictures: Pictures) -> Sequence[Claim]:
    """One row for each schedule."""
    page.heading("The equations of the law, and likelihood")
    page.text(
        """Three modes, whose p_t is known: the largest residual of the Fokker-Planck and of the continuity equation
        over x and t, relative to the largest rate. And log p of draws of the data by the probability flow, less the
        truth, in nats: mean and root mean square, with the bound on what N(0, sigma(1)²) as the law of x_1 may cost."""
    )
    page.table(
        [
            "schedule",
            "Fokker-Planck",
            "continuity",
            "log p: mean error",
            "rms error",
            "prior, at most",
            "network calls",
        ],
        [
            [
                name,
                f"{row['fokker_planck']:.0e}",
                f"{row['continuity']:.0e}",
                f"{row['bias']:+.1e}",
                f"{row['rms']:.1e}",
                f"{row['mismatch']:.1e}",
                str(row["calls"]),
            ]
            for name, row in result.items()
        ],
    )
    residual = max(max(row["fokker_planck"], row["continuity"]) for row in result.values())
    rms = max(row["rms"] for row in result.values())
    return [
        judge(
            "The law of the forward SDE and of the flow is one and the same p_t",
            residual < 1e-6,
            f"residuals up to {residual:.0e}",
        ),
        judge(
            "The flow gives the likelihood of the data",
            rms < 0.02,
            f"off by {rms:.4f} nats at most (root mean square), which is what the prior costs where alpha(1) is not 0",
            partly=rms < 0.2,
        ),
    ]
