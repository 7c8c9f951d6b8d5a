"""What the article saw on faces, measured on digits: noise and spread of the samples by sigma_t, steps and network."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from statistics import mean
from typing import Any

from kexue.diffusion import DDIM, Sampler, SigmaHat
from kexue.studies import digits as data
from kexue.studies.claims import Claim, judge
from kexue.studies.ddim.trained import network
from kexue.studies.lab import Lab
from kexue.studies.networks import Form
from kexue.studies.page import Page
from kexue.studies.pictures import Pictures

NETWORKS = {"waves of time": Form(), "table of times": Form(table=True), "waves, batch norm": Form(norm="batch")}
SAMPLERS: dict[str, Sampler] = {"sigma = 0": DDIM(0.0), "beta~ / 2": DDIM(0.5), "beta~": DDIM(1.0), "beta": SigmaHat()}
KEYS = ("noise", "spread", "distance")


def measure(lab: Lab) -> Any:
    """Quality by network, sampler, steps; one for each seed."""
    lengths = lab.pick((5, 10), (10, 50, 100))
    seeds = lab.seeds(lab.pick(1, 2, 5))
    return {
        name: [lab.keep(f"{name}, seed {seed}", partial(_measured, lab, form, lengths, seed)) for seed in seeds]
        for name, form in NETWORKS.items()
    }


def _measured(lab: Lab, form: Form, lengths: Sequence[int], seed: int) -> Any:
    denoise = network(lab, form, seed)
    num = data.num_drawn(lab)
    return {
        kind: {
            str(steps): vars(data.digits().judge(data.draw(denoise, sampler, steps, num, seed, device=lab.device)))
            for steps in lengths
        }
        for kind, sampler in SAMPLERS.items()
    }


def show(result: Any, page: Page, pictures: Pictures) -> Sequence[Claim]:
    """One table for each network."""
    page.heading("What the article saw")
    page.text(
        """300 samples each, mean over the seeds, as noise / spread / distance: mean distance to the nearest training
        digit over that of held-out digits (above 1 is noisier than real digits), total variance over that of the data
        (below 1 is less diverse), Fréchet distance in the features of a small classifier."""
    )
    lengths = list(result["waves of time"][0]["beta"])
    page.table(
        ["network", "sigma_t", *(f"{num} steps" for num in lengths)],
        [
            [name, kind, *(" / ".join(f"{at(result, name, kind, num, key):.2f}" for key in KEYS) for num in lengths)]
            for name in NETWORKS
            for kind in SAMPLERS
        ],
    )
    return _claims(result, lengths)


def at(result: Any, name: str, kind: str, num: str, key: str) -> float:
    """The mean over seeds."""
    return mean(run[kind][num][key] for run in result[name])


def _claims(result: Any, lengths: Sequence[str]) -> list[Claim]:
    usual = "waves of time"

    def values(kind: str, key: str, name: str = usual) -> list[float]:
        return [at(result, name, kind, num, key) for num in lengths]

    quiet, loud = values("sigma = 0", "noise"), values("beta", "noise")
    wide, narrow = values("sigma = 0", "spread"), values("beta", "spread")
    few, many = wide[0], wide[-1]
    table, waves = (values("sigma = 0", "noise", name)[-1] for name in ("table of times", usual))
    distances = {kind: at(result, usual, kind, lengths[-1], "distance") for kind in SAMPLERS}
    last = lengths[-1]
    noisier = [num for num, a, b in zip(lengths, quiet, loud, strict=True) if a > b]
    return [
        judge(
            "Less sigma_t gives more noise and more diversity (observation 1)",
            quiet[-1] > loud[-1] and wide[-1] > narrow[-1],
            f"noise {quiet[-1]:.2f} with sigma = 0, {loud[-1]:.2f} with beta at {last} steps, spread {wide[-1]:.2f} "
            "and "
            f"{narrow[-1]:.2f}; noisier at {', '.join(noisier) or 'none'} of {', '.join(lengths)} steps",
            partly=bool(noisier) or wide[-1] > narrow[-1],
        ),
        judge(
            "Fewer steps give smoother, less diverse pictures (observation 2)",
            few < many and quiet[0] < quiet[-1],
            f"sigma = 0, {lengths[0]} against {last} steps: spread {few:.2f} and {many:.2f}, noise {quiet[0]:.2f} and "
            f"{quiet[-1]:.2f}",
            partly=few < many,
        ),
        judge(
            "At small sigma_t sines and cosines of time give less noise than a trained table (observation 4)",
            waves < table * 0.98,
            f"noise {waves:.2f} with waves, {table:.2f} with the table, sigma = 0, {last} steps",
        ),
        judge(
            "With all steps, generation without noise is worse than with it (observation 6)",
            distances["sigma = 0"] > min(distances["beta~"], distances["beta"]),
            ", ".join(f"{kind} {value:.1f}" for kind, value in distances.items()) + f" (distance, {last} steps)",
        ),
    ]
