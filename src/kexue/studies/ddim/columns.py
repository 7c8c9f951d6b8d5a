"""Less noise is better with few steps: distances by eta and steps, on three modes exactly, on digits by a network."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from statistics import mean
from typing import Any

from kexue.diffusion import DDIM, NetworkDenoiser, Sampler, SigmaHat
from kexue.diffusion.exact import MixtureData
from kexue.studies import digits as data
from kexue.studies.claims import Claim, judge
from kexue.studies.ddim.trained import network
from kexue.studies.lab import Lab
from kexue.studies.laws import sampled_distance, usual_distance
from kexue.studies.networks import SCHEDULE, Form
from kexue.studies.page import Page, spread
from kexue.studies.pictures import Pictures

DATA = MixtureData.three_modes()
SAMPLERS: dict[str, Sampler] = {
    "eta = 0": DDIM(0.0),
    "eta = 0.2": DDIM(0.2),
    "eta = 0.5": DDIM(0.5),
    "eta = 1": DDIM(1.0),
    "sigma-hat": SigmaHat(),
}
FEW = 100
"""Steps up to which the table of Song, Meng and Ermon has its rows in order."""


def measure(lab: Lab) -> Any:
    """W2 for three modes, the distance and the quality of digits by seed."""
    lengths, num = lab.pick((5,), (10, 20, 50, 100, 1000)), lab.pick(500, 10_000, 400_000)
    exact = {
        name: {
            str(n): lab.keep(
                f"modes, {name}, {n}", partial(sampled_distance, DATA, SCHEDULE, sampler, n, num, lab.generator(n))
            )
            for n in lengths
        }
        for name, sampler in SAMPLERS.items()
    }
    seeds = lab.seeds(lab.pick(1, 2, 5))
    trained = [lab.keep(f"digits, seed {seed}", partial(_trained, lab, lengths, seed)) for seed in seeds]
    floor = usual_distance(DATA, num, lab.seed)
    return {"exact": exact, "trained": trained, "floor": floor, "num": num, "digits_floor": data.digits().floor}


def _trained(lab: Lab, lengths: Sequence[int], seed: int) -> Any:
    denoise = network(lab, Form(), seed)
    return {
        name: {str(n): _digits(lab, denoise, sampler, n, seed) for n in lengths} for name, sampler in SAMPLERS.items()
    }


def _digits(lab: Lab, denoise: NetworkDenoiser, sampler: Sampler, steps: int, seed: int) -> float:
    drawn = data.draw(denoise, sampler, steps, data.num_drawn(lab), seed, device=lab.device)
    return data.digits().judge(drawn).distance


def show(result: Any, page: Page, pictures: Pictures) -> Sequence[Claim]:
    """Two tables and a picture."""
    lengths = list(result["exact"]["eta = 0"])
    page.heading("Noise and steps")
    page.text(
        f"""Three modes in one dimension with the exact denoiser, equal steps of t: W2 of {result["num"]:,} samples to
        the data ({result["floor"]:.4f} for as many draws of the data)."""
    )
    heading = ["", *(f"{num} steps" for num in lengths)]
    page.table(
        heading, [[name, *(f"{value:.4f}" for value in values.values())] for name, values in result["exact"].items()]
    )
    page.text(
        f"""The digits, a residual perceptron that predicts eps: Fréchet distance of 300 samples to held-out digits in
        the features of a small classifier, mean and standard deviation over seeds (training digits:
        {result["digits_floor"]:.2f})."""
    )
    runs = result["trained"]
    page.table(
        heading, [[name, *(spread([run[name][num] for run in runs], 2) for num in lengths)] for name in SAMPLERS]
    )
    pictures.draw(page, "columns", "Distance to the data by steps and noise", _plot(result), (10, 4))
    return _claims(result, lengths)


def _plot(result: Any) -> Any:
    def plot(figure: Any) -> None:
        left, right = figure.subplots(1, 2)
        for name in SAMPLERS:
            exact = result["exact"][name]
            steps = [int(num) for num in exact]
            left.plot(steps, list(exact.values()), "o-", label=name)
            right.plot(steps, [mean(run[name][num] for run in result["trained"]) for num in exact], "o-", label=name)
        left.set(ylabel="W2 to the data (units of the data)", title="three modes, exact denoiser")
        right.set(ylabel="Fréchet distance (classifier features²)", title="digits, trained network")
        for panel in (left, right):
            panel.set(xscale="log", yscale="log", xlabel="steps")
            panel.grid(alpha=0.3)
            panel.legend(fontsize=8)

    return plot


def ordered(values: Sequence[float], slack: float = 0.02) -> bool:
    """Whether numbers rise, up to a share of each that chance may take."""
    return all(later > earlier * (1 - slack) for earlier, later in pairwise(values))


def _claims(result: Any, lengths: Sequence[str]) -> list[Claim]:
    few = [num for num in lengths if int(num) <= FEW]
    last = lengths[-1]
    tables = {
        "three modes": result["exact"],
        "digits": {
            name: {num: mean(run[name][num] for run in result["trained"]) for num in lengths} for name in SAMPLERS
        },
    }
    held = {
        name: [num for num in few if ordered([table[kind][num] for kind in SAMPLERS])] for name, table in tables.items()
    }
    wins = sum(table["eta = 0"][num] < table["eta = 1"][num] for table in tables.values() for num in few)
    hats = {name: table["sigma-hat"][last] / table["eta = 0"][last] for name, table in tables.items()}
    most = {name: min(table, key=lambda kind, table=table: table[kind][last]) for name, table in tables.items()}
    return [
        judge(
            "The less noise the better with few steps: eta = 0, 0.2, 0.5, 1, sigma-hat (Song et al. 2021, Table 1)",
            all(len(found) == len(few) for found in held.values()),
            "this order at "
            + "; ".join(
                f"{', '.join(found) or 'none'} of {', '.join(few)} steps ({name})" for name, found in held.items()
            )
            + f"; eta = 0 is nearer than eta = 1 at {wins} of {2 * len(few)}. Neighbouring rows are nearer than "
            "chance tells apart here",
            partly=wins == 2 * len(few),
        ),
        judge(
            "With 1000 steps sigma-hat is best (the same table, CIFAR-10)",
            all(ratio < 1 for ratio in hats.values()),
            "; ".join(f"{name}: {hats[name]:.2f} times eta = 0, best is {most[name]}" for name in tables)
            + f", at {last} steps",
            partly=any(ratio < 1 for ratio in hats.values()),
        ),
    ]
