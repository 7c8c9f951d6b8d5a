"""What a network call buys: samplers of the SDE, of the flow, and both, with the exact score and with a learnt one."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, partial
from itertools import pairwise
from typing import Any

import torch

from kexue.diffusion import (
    DDIM,
    Adams,
    Denoiser,
    Euler,
    EulerMaruyama,
    Heun,
    PredictorCorrector,
    ReverseDiffusion,
    Sampler,
    Simple,
    UniformTime,
    sample,
)
from kexue.diffusion.exact import MixtureData, f64, marginal, variance_of
from kexue.studies.claims import Claim, judge
from kexue.studies.lab import Lab
from kexue.studies.laws import levels, usual_distance, wasserstein
from kexue.studies.networks import SCHEDULE, Form, Training, loss_of, make, train
from kexue.studies.page import Page
from kexue.studies.pictures import Pictures

DATA = MixtureData.three_modes()
SAMPLERS: dict[str, tuple[Sampler, int]] = {
    "Euler-Maruyama": (EulerMaruyama(), 1),
    "reverse diffusion": (ReverseDiffusion(), 1),
    "predictor-corrector": (PredictorCorrector(), 2),
    "DDPM (eta = 1)": (DDIM(1.0), 1),
    "DDIM (eta = 0)": (DDIM(0.0), 1),
    "flow, Euler in t": (Euler(), 1),
    "flow, Heun": (Heun(), 2),
    "flow, Adams": (Adams(), 1),
}
"""With the network calls of a step."""
STOCHASTIC = ("Euler-Maruyama", "reverse diffusion", "predictor-corrector", "DDPM (eta = 1)")
SNR = 0.16


def measure(lab: Lab) -> Any:
    """W2 by score, sampler and calls; the variance where a predictor-corrector ends up."""
    calls, num = lab.pick((10,), (10, 20, 50, 100, 400)), lab.pick(500, 5000, 400_000)
    found = {
        kind: {
            name: {
                str(n): lab.keep(f"{kind}, {name}, {n}", partial(_distance, lab, kind, sampler, n // each, num))
                for n in calls
            }
            for name, (sampler, each) in SAMPLERS.items()
        }
        for kind in ("exact", "learnt")
    }
    floor = usual_distance(DATA, num, lab.seed)
    return {"found": found, "floor": floor, "num": num, "corrected": _corrected(lab)}


def _distance(lab: Lab, kind: str, sampler: Sampler, num_steps: int, num: int) -> float:
    generator = lab.generator(num_steps)
    noise = torch.special.ndtri(levels(num))[torch.randperm(num, generator=generator), None]
    denoise = DATA.denoiser(SCHEDULE) if kind == "exact" else learnt(lab.options.scale, lab.seed)
    start = noise if kind == "exact" else noise.float()
    return wasserstein(sample(denoise, SCHEDULE, start, sampler, num_steps, generator, grid=UniformTime()), DATA)[1]


@cache
def learnt(scale: str, seed: int) -> Denoiser:
    """A small network that learnt eps from draws of the data."""
    form, training = (Form(16, 1), Training(20, 16)) if scale == "quick" else (Form(64, 2), Training(1000, 256))
    x = DATA.sample(100_000, seed=seed).float()
    return train(make(1, form, seed), loss_of(Simple()), x, training, seed)[0]


def _corrected(lab: Lab) -> dict[str, dict[str, float]]:
    """Variance over the data's for N(0, 0.25): ours by steps, and the published rule of a step, which is 1 + snr^2."""
    lengths = lab.pick((50,), (50, 200, 1000))
    ours = {str(num): _variance(num) for num in lengths}
    return {"ours": ours, "published": {str(num): _published(num) for num in lengths}}


def _variance(num_steps: int) -> float:
    times = UniformTime().times(SCHEDULE, num_steps)
    start = marginal(SCHEDULE, 1.0, 0.25)
    return variance_of(PredictorCorrector(snr=SNR), SCHEDULE, times, 0.25, start=start) / 0.25


def _published(num_steps: int) -> float:
    """Song et al.'s corrector, step 2 (snr |z| / |score|)^2, in the limit of many dimensions, after every step."""
    times = UniformTime().times(SCHEDULE, num_steps)
    p = marginal(SCHEDULE, 1.0, 0.25)
    for t, s in pairwise(times):
        here, there = marginal(SCHEDULE, float(t), 0.25), marginal(SCHEDULE, float(s), 0.25)
        r, beta = float(SCHEDULE.step_alpha(t, s)), float(SCHEDULE.step_sigma(t, s))
        p = (2 - r - beta**2 / here) ** 2 * p + (beta**2 if s > 0 else 0.0)
        step = 2 * SNR**2 * there**2 / p
        p = (1 - step / there) ** 2 * p + 2 * step
    return p / float(f64(0.25))


def show(result: Any, page: Page, pictures: Pictures) -> Sequence[Claim]:
    """Tables for the exact and the learnt score, a picture."""
    page.heading("Samplers")
    page.text(
        f"""Three modes, equal steps of t: W2 of {result["num"]:,} samples to the data by network calls
        ({result["floor"]:.4f} for as many draws of the data). Above with the exact score, below with that of a small
        network trained on draws."""
    )
    for kind in ("exact", "learnt"):
        rows = result["found"][kind]
        calls = list(rows["DDIM (eta = 0)"])
        page.table(
            [f"{kind} score", *(f"{num} calls" for num in calls)],
            [[name, *(f"{value:.4f}" for value in values.values())] for name, values in rows.items()],
        )
    pictures.draw(
        page,
        "samplers",
        "Distance to the data by network calls; dotted: as many draws of the data",
        _plot(result),
        (10, 4.4),
    )
    page.text(
        f"""N(0, 0.25): the variance of what predictor-corrector samples over that of the data, snr {SNR}, by steps. The
        published rule for the corrector's step, 2 (snr |z| / |score|)², adds snr² at every level, the last too; ours,
        2 (snr sigma)², does not."""
    )
    corrected = result["corrected"]
    lengths = list(corrected["ours"])
    page.table(
        ["corrector's step", *(f"{num} steps" for num in lengths)],
        [[name, *(f"{values[num]:.4f}" for num in lengths)] for name, values in corrected.items()],
    )
    return _claims(result)


def _plot(result: Any) -> Any:
    def plot(figure: Any) -> None:
        for panel, kind in zip(figure.subplots(1, 2, sharey=True), ("exact", "learnt"), strict=True):
            for name, values in result["found"][kind].items():
                style = "o--" if name in STOCHASTIC else "s-"
                panel.plot([int(num) for num in values], list(values.values()), style, label=name, markersize=4)
            panel.axhline(result["floor"], color="black", linewidth=0.8, linestyle=":")
            panel.set(xscale="log", yscale="log", xlabel="network calls", title=f"{kind} score")
            panel.set_ylabel("W2 to the data (units of the data)")
            panel.grid(alpha=0.3)
        panel.legend(fontsize=7, ncols=2)

    return plot


def _claims(result: Any) -> list[Claim]:
    calls = list(result["found"]["exact"]["DDIM (eta = 0)"])
    stochastic, flows = ([name for name in SAMPLERS if (name in STOCHASTIC) == random] for random in (True, False))
    nearest = {
        kind: {num: [min(rows[name][num] for name in names) for names in (flows, stochastic)] for num in calls}
        for kind, rows in result["found"].items()
    }
    ends = {kind: [rows[name][calls[-1]] for name in SAMPLERS] for kind, rows in result["found"].items()}
    published, ours = (result["corrected"][name] for name in ("published", "ours"))
    last = list(ours)[-1]
    floor, below = result["floor"], [num for num, (flow, sde) in nearest["exact"].items() if flow < sde / 2]
    return [
        judge(
            "One network serves every sampler: with enough steps all give one law",
            max(ends["exact"]) < 2 * floor and max(ends["learnt"]) < 1.2 * min(ends["learnt"]),
            f"W2 {min(ends['exact']):.4f} to {max(ends['exact']):.4f} with the exact score at {calls[-1]} calls, where "
            f"draws of the data are {floor:.4f} away; {min(ends['learnt']):.4f} to {max(ends['learnt']):.4f} with the "
            "learnt one, which is what the network errs",
        ),
        judge(
            "The SDE needs more steps than the flow for equal error",
            len(below) == len(calls),
            "exact score, W2 of the nearest flow and of the nearest that adds noise: "
            + ", ".join(f"{flow:.3f} and {sde:.3f} ({num} calls)" for num, (flow, sde) in nearest["exact"].items())
            + f". The second cannot fall much below {floor:.3f}, as it draws; the first begins at quantiles. With the "
            f"learnt score all are alike from {calls[min(2, len(calls) - 1)]} calls on",
            partly=bool(below),
        ),
        judge(
            "Corrector steps bring the samples to the law (Song et al. 2021)",
            abs(published[last] - 1) < 0.005,
            f"with the published step the variance stays at {published[last]:.4f} of the data's at {last} steps, as "
            "snr² "
            f"never goes; with one in proportion to sigma² it is {ours[last]:.4f}",
            partly=abs(ours[last] - 1) < 0.01,
        ),
    ]
