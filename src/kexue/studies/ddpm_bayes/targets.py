"""What to predict, and the variance of the steps, trained on the digits."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from statistics import mean
from typing import Any

import torch
from torch import Tensor

from kexue.diffusion import (
    DDIM,
    AnalyticDPM,
    NetworkDenoiser,
    Sampler,
    SigmaHat,
    Simple,
    measure_uncertainty,
)
from kexue.diffusion.prediction import EPS, X0, Parameterization, V
from kexue.studies import digits as data
from kexue.studies.claims import Claim, judge
from kexue.studies.lab import Lab
from kexue.studies.networks import SCHEDULE, load_or_train, loss_of
from kexue.studies.page import Page, spread
from kexue.studies.pictures import Pictures

TARGETS: dict[str, Parameterization] = {"eps": EPS, "x_0": X0(), "v": V()}


def measure(lab: Lab) -> Any:
    """By target, sampler and steps, one distance for each seed."""
    runs = [
        lab.keep(f"{name}, seed {seed}", partial(_train, lab, name, seed))
        for seed in lab.seeds(lab.pick(1, 2, 5))
        for name in TARGETS
    ]
    return {name: [run["distances"] for run in runs if run["target"] == name] for name in TARGETS} | {
        "floor": data.digits().floor
    }


def _train(lab: Lab, name: str, seed: int) -> Any:
    target = TARGETS[name]
    x = data.digits().train.to(lab.device)
    denoise = load_or_train(lab, name, loss_of(Simple(target)), x, seed, parameterization=target)
    lengths, num = lab.pick((5,), (10, 50, 100)), data.num_drawn(lab)
    return {
        "target": name,
        "distances": {
            kind: {str(steps): _distance(lab, denoise, sampler, steps, num, seed) for steps in lengths}
            for kind, sampler in _samplers(denoise, x, seed).items()
        },
    }


def _samplers(denoise: NetworkDenoiser, x: Tensor, seed: int) -> dict[str, Sampler]:
    times = (torch.arange(1, 21, dtype=torch.float64) / 20) ** 2
    measured = measure_uncertainty(denoise, SCHEDULE, x, times, torch.Generator().manual_seed(seed))
    return {"beta~": DDIM(eta=1.0), "beta": SigmaHat(), "measured": AnalyticDPM(measured)}


def _distance(lab: Lab, denoise: NetworkDenoiser, sampler: Sampler, steps: int, num: int, seed: int) -> float:
    return data.digits().judge(data.draw(denoise, sampler, steps, num, seed, device=lab.device)).distance


def show(result: Any, page: Page, pictures: Pictures) -> Sequence[Claim]:
    """One row for each target and variance."""
    page.heading("Trained: what to predict, and the variance of a step")
    rows = {name: runs for name, runs in result.items() if name != "floor"}
    page.text(
        f"""The digits of the package and a residual perceptron, as in `kexue study ddpm-vae`: Fréchet distance of
        300 samples to held-out digits in the features of a small classifier, mean and standard deviation over the
        seeds. The training digits are {result["floor"]:.2f} away. Each network has the mean square error of what it
        predicts as its loss; "measured" is the variance with what the network misses of x_0."""
    )
    lengths = list(next(iter(rows["eps"][0].values())))
    page.table(
        ["predicts", "sigma_t", *(f"{num} steps" for num in lengths)],
        [
            [name, kind, *(spread([run[kind][num] for run in runs], 2) for num in lengths)]
            for name, runs in rows.items()
            for kind in runs[0]
        ],
    )
    return _claims(rows, lengths)


def _claims(rows: Any, lengths: Sequence[str]) -> list[Claim]:
    def at(name: str, kind: str, num: str) -> float:
        return mean(run[kind][num] for run in rows[name])

    first, last = lengths[0], lengths[-1]
    alike = {name: at(name, "beta", last) / at(name, "beta~", last) for name in rows}
    apart = {name: at(name, "beta", first) / at(name, "beta~", first) for name in rows}
    best = {name: min(at(name, kind, last) for kind in ("beta", "beta~")) for name in rows}
    worst = max(best.values()) / min(best.values())
    return [
        judge(
            "Pictures: sigma = beta and beta~ do about equally well",
            all(1 / 1.5 < ratio < 1.5 for ratio in apart.values()),
            "distance with beta over that with beta~: "
            + "; ".join(f"{name} {alike[name]:.2f} at {last} steps, {apart[name]:.2f} at {first}" for name in rows),
            partly=all(1 / 1.5 < ratio < 1.5 for ratio in alike.values()),
        ),
        judge(
            "Whether x_0 or eps is predicted changes only the weights of one and the same optimum",
            worst < 1.5,
            f"distances at {last} steps: {', '.join(f'{name} {value:.2f}' for name, value in best.items())}. The "
            "optimum "
            "is the same; a network of finite size gets nearer to it where its loss looks",
            partly=worst < 3,
        ),
    ]
