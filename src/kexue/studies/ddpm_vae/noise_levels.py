"""The choice of alpha_t = sqrt(1 - 0.02 t / T): how little is left at the end, why T is large, why alpha falls."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from kexue.diffusion import ArticleLimit, ArticleSchedule, DiscreteBetas
from kexue.diffusion.exact import MixtureData
from kexue.diffusion.schedules import Schedule, linear_betas
from kexue.studies.claims import Claim, judge
from kexue.studies.ddpm_vae.expected import best, bound
from kexue.studies.lab import Lab
from kexue.studies.laws import entropy
from kexue.studies.page import Page
from kexue.studies.pictures import Pictures

NUM_STEPS = 1000
STRENGTH = 0.02
LEFT = 0.05
"""Of the data at the end, up to which nothing counts as left."""


def measure(lab: Lab) -> Any:
    """What is left at the end by T; the distance to two other schedules; bounds of three orders of the same steps."""
    left = {
        str(num): float(ArticleSchedule(num).alpha(torch.ones(())))
        for num in lab.pick((10, 100), (10, 100, 400, 1000, 2000))
    }
    t = (torch.arange(NUM_STEPS) + 1).double() / NUM_STEPS
    ours, limit, linear = (schedule.alpha(t) for schedule in (ArticleSchedule(), ArticleLimit(), DiscreteBetas()))
    lengths = lab.pick((5,), (5, 10, 20, 50, 100, 200))
    data = MixtureData.three_modes()
    truth = entropy(data)
    orders = {
        name: {
            str(num): bound(data, schedule, num, best).total - truth
            for num, schedule in ((n, make(n)) for n in lengths)
        }
        for name, make in ORDERS.items()
    }
    return {
        "left": left,
        "log_left": float(ours[-1].log()),
        "to_limit": float((ours - limit).abs().max()),
        "to_limit_relative": float((ours / limit - 1).abs().max()),
        "to_linear": float((ours - linear).abs().max()),
        "linear_left": float(linear[-1]),
        "curves": [values[:: NUM_STEPS // 50].tolist() for values in (t, ours, limit, linear)],
        "orders": orders,
    }


def _chain(num: int, *, order: int) -> Schedule:
    """`num` steps that take as much away as the article's 1000: its order, all alike, or turned round.

    In terms of -log alpha a step, so that the end is the same for all.
    """
    falls = -torch.log1p(-STRENGTH * linear_betas(NUM_STEPS, 1 / NUM_STEPS, 1.0)).unflatten(0, (num, -1)).sum(1)
    falls = {1: falls, 0: falls.mean().expand(num), -1: falls.flip(0)}[order]
    return DiscreteBetas((-torch.expm1(-falls)).tolist())


ORDERS = {
    "alpha falls, as in the article": lambda num: _chain(num, order=1),
    "alpha the same at every step": lambda num: _chain(num, order=0),
    "alpha rises": lambda num: _chain(num, order=-1),
}


def show(result: Any, page: Page, pictures: Pictures) -> Sequence[Claim]:
    """Tables for T and for the order, curves."""
    page.heading("The choice of alpha")
    page.text(
        f"""With alpha_t = sqrt(1 - 0.02 t / T) and T = 1000 the data's share at the end is {result["linear_left"]:.4f}
        for the linear betas of Ho et al. and exp({result["log_left"]:.4f}) here. exp(-5 t²) is off by
        {result["to_limit"]:.4f} at most, {result["to_limit_relative"]:.1%} of the value; Ho's chain by
        {result["to_linear"]:.4f}. With the same formula and fewer steps the data do not vanish:"""
    )
    page.table(
        ["T", *result["left"]],
        [["the data's share at t = T", *(f"{value:.4f}" for value in result["left"].values())]],
    )
    page.text(
        """A chain of T steps that take away as much in all, in three orders; the bound less the entropy for three
        modes in nats, with the best variances, so that only the order counts:"""
    )
    lengths = list(next(iter(result["orders"].values())))
    page.table(
        ["", *(f"T = {num}" for num in lengths)],
        [[name, *(f"{values[num]:.4f}" for num in lengths)] for name, values in result["orders"].items()],
    )
    pictures.draw(
        page, "levels", "Share of the data, and the gap of three orders of the same steps", _plot(result), (10, 4)
    )
    return _claims(result, lengths)


def _plot(result: Any) -> Any:
    def plot(figure: Any) -> None:
        left, right = figure.subplots(1, 2)
        t, *curves = result["curves"]
        for values, name, style in zip(
            curves, ("article, T = 1000", "exp(−5 t²)", "Ho et al., linear betas"), ("-", "--", ":"), strict=True
        ):
            left.plot(t, values, style, label=name)
        left.set(xlabel="time t (0 data, 1 noise)", ylabel="share of the data in x_t, alpha(t)")
        for name, values in result["orders"].items():
            right.plot([int(num) for num in values], list(values.values()), "o-", label=name)
        right.set(xscale="log", yscale="log", xlabel="steps T", ylabel="bound − entropy (nats)")
        for panel in (left, right):
            panel.grid(alpha=0.3)
            panel.legend(fontsize=8)

    return plot


def _claims(result: Any, lengths: Sequence[str]) -> list[Claim]:
    falling, same, rising = result["orders"].values()
    few = [float(value) for num, value in result["left"].items() if int(num) < NUM_STEPS]
    won = [num for num in lengths if falling[num] <= min(same[num], rising[num])]
    return [
        judge(
            "log of what is left at T = 1000 is below -5",
            result["log_left"] < -5,
            f"it is {result['log_left']:.4f}",
        ),
        judge(
            "What is left falls as exp(-5 t²)",
            result["to_limit"] < 0.01,
            f"to {result['to_limit']:.4f}, and {result['to_limit_relative']:.1%} of the value where that is smallest",
        ),
        judge(
            "T has to be large for the end to be noise",
            min(few) > LEFT,
            f"with this formula; {', '.join(f'{value:.2f} at T = {num}' for num, value in result['left'].items())}. "
            "Where alpha is chosen for the number of steps the end does not ask for a large T, the Gaussian steps do",
            partly=max(few) > LEFT,
        ),
        judge(
            "alpha should fall: small steps near the data, large ones amid the noise",
            len(won) == len(lengths),
            f"smallest gap at {', '.join(won) or 'no'} of {', '.join(lengths)} steps; at {lengths[-1]} it is "
            f"{falling[lengths[-1]]:.4f} against {same[lengths[-1]]:.4f} (all alike) and {rising[lengths[-1]]:.4f} "
            "(rising)",
            partly=bool(won),
        ),
    ]
