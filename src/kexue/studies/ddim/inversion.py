"""From the data to the noise and back: how exactly, by steps; and what lies between two noises."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from statistics import mean
from typing import Any

import torch
from torch import Tensor

from kexue.diffusion import DDIM, NetworkDenoiser, encode, invert, sample, spherical
from kexue.diffusion.exact import MixtureData
from kexue.studies import digits as data
from kexue.studies.claims import Claim, judge
from kexue.studies.ddim.trained import network
from kexue.studies.lab import Lab
from kexue.studies.networks import SCHEDULE, Form
from kexue.studies.page import Page
from kexue.studies.pictures import Pictures

DATA = MixtureData.three_modes()
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)


def measure(lab: Lab) -> Any:
    """Round trips and interpolations."""
    lengths = lab.pick((10, 20), (10, 20, 50, 100, 200))
    return {
        "exact": {str(num): _trip(DATA.denoiser(SCHEDULE), DATA.sample(500, seed=lab.seed), num) for num in lengths},
        "trained": [
            lab.keep(f"trips, seed {seed}", partial(_trained, lab, lengths, seed))
            for seed in lab.seeds(lab.pick(1, 2, 5))
        ],
    }


def _trip(denoise: Any, x: Tensor, num: int) -> dict[str, float]:
    """Root mean square of what does not come back over the standard deviation of the data."""
    ways = {
        "encode": lambda: encode(denoise, SCHEDULE, x, DDIM(), num, grid=data.EQUAL_TIMES),
        "invert": lambda: invert(denoise, SCHEDULE, x, DDIM(), num, grid=data.EQUAL_TIMES),
    }
    errors = {}
    for name, way in ways.items():
        back = sample(denoise, SCHEDULE, way(), DDIM(), num, grid=data.EQUAL_TIMES)
        errors[name] = float((back - x).square().mean().sqrt() / x.std())
    return errors


def _trained(lab: Lab, lengths: Sequence[int], seed: int) -> Any:
    denoise = network(lab, Form(), seed)
    x = data.digits().held_out[: lab.pick(10, 200)].to(lab.device)
    return {
        "trips": {str(num): _trip(denoise, x, num) for num in lengths},
        "between": {name: _between(lab, denoise, way, seed) for name, way in WAYS.items()},
    }


def _between(lab: Lab, denoise: NetworkDenoiser, way: Any, seed: int) -> list[dict[str, float]]:
    """Quality of the samples at each share of the way between two noises, and the variance of the noise there."""
    num = lab.pick(20, 300)
    first, second = torch.randn(2, num, *data.SHAPE, generator=torch.Generator().manual_seed(seed)).to(lab.device)
    rows = []
    for noise in way(first, second, torch.tensor(SHARES)):
        drawn = sample(denoise, SCHEDULE, noise, DDIM(), lab.pick(5, 50), grid=data.EQUAL_TIMES)
        rows.append(vars(data.digits().judge(drawn)) | {"variance": float(noise.var())})
    return rows


def straight(first: Tensor, second: Tensor, shares: Tensor) -> Tensor:
    """The line between two noises."""
    return torch.stack([torch.lerp(first, second, float(share)) for share in shares])


WAYS = {"quarter turn": spherical, "straight line": straight}


def show(result: Any, page: Page, pictures: Pictures) -> Sequence[Claim]:
    """Two tables and a picture."""
    page.heading("Back to the noise, and between two noises")
    page.text(
        """From data to noise by DDIM and back by as many steps: root mean square of what is missing over the standard
        deviation of the data. `encode` takes DDIM's step with the ends exchanged, `invert` solves for the noise that
        the steps turn into the data."""
    )
    lengths = list(result["exact"])
    rows = [
        ["three modes", way, *(f"{result['exact'][num][way]:.1e}" for num in lengths)] for way in ("encode", "invert")
    ]
    rows += [
        ["digits", way, *(f"{mean(run['trips'][num][way] for run in result['trained']):.1e}" for num in lengths)]
        for way in ("encode", "invert")
    ]
    page.table(["data", "way", *(f"{num} steps" for num in lengths)], rows)
    page.text(
        """300 pairs of noises, 50 steps of DDIM from a point between the two; Fréchet distance in the features of a
        small classifier, mean distance to the nearest training digit over that of held-out digits, total variance
        over that of the data."""
    )
    between = {name: [run["between"][name] for run in result["trained"]] for name in WAYS}
    page.table(
        ["way", "share", "variance of the noise", "distance", "noise", "spread"],
        [
            [name, f"{share:g}", *(_mean(runs, index, key) for key in ("variance", "distance", "noise", "spread"))]
            for name, runs in between.items()
            for index, share in enumerate(SHARES)
        ],
    )
    return _claims(result, between, lengths)


def _mean(runs: Any, index: int, key: str) -> str:
    return f"{mean(run[index][key] for run in runs):.2f}"


def _claims(result: Any, between: Any, lengths: Sequence[str]) -> list[Claim]:
    first, last = lengths[0], lengths[-1]
    errors = [result["exact"][num]["encode"] for num in (first, last)]
    order = math.log(errors[0] / errors[1]) / math.log(int(last) / int(first))
    trips = [mean(run["trips"][num]["encode"] for run in result["trained"]) for num in (first, last)]
    half = SHARES.index(0.5)
    middle = {name: mean(run[half]["distance"] for run in runs) for name, runs in between.items()}
    ends = mean(run[0]["distance"] for run in between["quarter turn"])
    width = mean(run[0]["spread"] for run in between["quarter turn"])
    spreads = {name: mean(run[half]["spread"] for run in runs) for name, runs in between.items()}
    return [
        judge(
            "DDIM without noise goes back from the data to the noise, the better the more steps",
            errors[1] < errors[0] / 3 and trips[1] < trips[0],
            f"three modes {errors[0]:.3f} to {errors[1]:.4f} from {first} to {last} steps (order {order:.1f}), digits "
            f"{trips[0]:.3f} to {trips[1]:.4f}",
        ),
        judge(
            "Between two noises one has to go along the sphere, not the line",
            spreads["quarter turn"] > 0.95 * width and spreads["straight line"] < 0.9 * width,
            f"half way the distance is {middle['quarter turn']:.1f} on the turn, {middle['straight line']:.1f} on "
            "the line, "
            f"{ends:.1f} at the ends; the variance of the pictures {spreads['quarter turn']:.2f} and "
            f"{spreads['straight line']:.2f} of the data's, {width:.2f} at the ends. The "
            "line loses diversity; its smoother pictures are nearer where the network leaves noise in all",
        ),
    ]
