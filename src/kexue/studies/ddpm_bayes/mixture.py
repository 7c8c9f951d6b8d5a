"""The same choices on data that are not Gaussian: three modes in one dimension, distances to the law of the data."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch

from kexue.diffusion import DDIM, AnalyticDPM, ArticleSchedule, Sampler, SigmaHat
from kexue.diffusion.exact import MixtureData
from kexue.diffusion.samplers import MeasuredUncertainty
from kexue.studies.claims import Claim, judge
from kexue.studies.lab import Lab
from kexue.studies.laws import sampled_distance, uncertainty, usual_distance
from kexue.studies.page import Page
from kexue.studies.pictures import Pictures

SCHEDULE = ArticleSchedule()
DATA = MixtureData.three_modes()
FEW = 20
"""Steps that count as few."""


def known() -> MeasuredUncertainty:
    """What is not known of x_0, by quadrature at 60 times."""
    t = (torch.arange(1, 61, dtype=torch.float64) / 60) ** 2
    values = torch.tensor([uncertainty(DATA, SCHEDULE, float(time)) for time in t], dtype=torch.float64)
    return MeasuredUncertainty(tuple(SCHEDULE.log_snr(t).tolist()), tuple(values.log().tolist()))


def contenders() -> dict[str, Sampler]:
    """By name; the noise of DDPM, that with what is missing, and the same for DDIM."""
    uncertain = known()
    return {
        "beta~": DDIM(eta=1.0),
        "beta": SigmaHat(),
        "right, eta = 1": AnalyticDPM(uncertain, eta=1.0),
        "DDIM, eta = 0": DDIM(eta=0.0),
        "right, eta = 0": AnalyticDPM(uncertain, eta=0.0),
    }


def measure(lab: Lab) -> Any:
    """W2 by sampler and steps; and of as many draws of the data."""
    lengths, num = lab.pick((5,), (5, 10, 20, 50, 100, 200)), lab.pick(500, 10_000, 400_000)
    floor = usual_distance(DATA, num, lab.seed)
    rows = {
        name: {
            str(steps): lab.keep(
                f"mixture, {name}, {steps}",
                partial(sampled_distance, DATA, SCHEDULE, sampler, steps, num, lab.generator(steps)),
            )
            for steps in lengths
        }
        for name, sampler in contenders().items()
    }
    return {"rows": rows, "floor": floor, "num": num}


def show(result: Any, page: Page, pictures: Pictures) -> Sequence[Claim]:
    """A table and the same as a picture."""
    page.heading("The variance of a step, three modes")
    page.text(
        f"""Three modes in one dimension with the exact denoiser: W2 of {result["num"]:,} samples to the data, equal
        steps of t, no noise in the last step. As many draws of the data themselves are {result["floor"]:.4f} away."""
    )
    lengths = list(next(iter(result["rows"].values())))
    page.table(
        ["sigma_t", *(f"{num} steps" for num in lengths)],
        [[name, *(f"{value:.4f}" for value in values.values())] for name, values in result["rows"].items()],
    )

    def plot(figure: Any) -> None:
        panel = figure.subplots()
        for name, values in result["rows"].items():
            panel.plot([int(num) for num in values], list(values.values()), "o-", label=name)
        panel.axhline(result["floor"], color="black", linewidth=0.8, linestyle=":", label="draws of the data")
        panel.set(xscale="log", yscale="log", xlabel="steps", ylabel="W2 to the data (units of the data)")
        panel.legend(fontsize=8)
        panel.grid(alpha=0.3)

    pictures.draw(page, "mixture", "Distance to the data by the number of steps", plot)
    return _claims(result["rows"], lengths)


def _claims(rows: Any, lengths: Sequence[str]) -> list[Claim]:
    few = [num for num in lengths if int(num) <= FEW]
    last = lengths[-1]
    pairs = (("right, eta = 1", "beta~"), ("right, eta = 0", "DDIM, eta = 0"))
    gains = [rows[old][num] / rows[new][num] for new, old in pairs for num in few]
    large, small = rows["beta"][last], rows["beta~"][last]
    return [
        judge(
            "What is not known of x_0 counts at few steps (archives/9245)",
            min(gains) > 1.2,
            f"with it W2 is {min(gains):.1f} to {max(gains):.1f} times smaller at up to {FEW} steps, for eta = 0 and 1",
            partly=max(gains) > 1.2,
        ),
        judge(
            "With many steps beta and beta~ are equally good on three modes too",
            max(large, small) < 2 * min(large, small),
            f"W2 at {last} steps: {large:.4f} (beta), {small:.4f} (beta~); at {lengths[0]}: "
            f"{rows['beta'][lengths[0]]:.3f} and {rows['beta~'][lengths[0]]:.3f}",
        ),
    ]
