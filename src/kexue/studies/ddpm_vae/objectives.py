"""Trained on the digits: the weights of the bound or none, the reduced loss or not. All else is the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from statistics import mean
from typing import Any

import torch
from torch import Tensor

from kexue.diffusion import ELBO, Denoiser, SigmaHat, Simple, variational_bound
from kexue.diffusion.objectives import LastStep, unreduced_loss
from kexue.studies import digits as data
from kexue.studies.claims import Claim, judge
from kexue.studies.lab import Lab
from kexue.studies.networks import NUM_TIMES, SCHEDULE, Form, Loss, draw_noise, draw_times, load_or_train, loss_of
from kexue.studies.page import Page, spread
from kexue.studies.pictures import Pictures

NUM_STEPS, NUM_BOUNDED = 100, 100
SCALE = 1000.0
"""Of the losses that are tiny, as Adam's guard against a zero divisor is not."""


def unreduced(denoise: Denoiser, x0: Tensor, generator: torch.Generator) -> Tensor:
    """With the noise of the last step drawn by itself."""
    t = draw_times(len(x0), generator, x0.device)
    noises = draw_noise(x0, generator), draw_noise(x0, generator)
    return SCALE * unreduced_loss(denoise, SCHEDULE, NUM_TIMES, x0, t, *noises).mean()


USUAL = "no weight"
LOSSES: Mapping[str, Loss] = {
    USUAL: loss_of(Simple()),
    "weights of the bound": loss_of(ELBO()),
    "last step, reduced": loss_of(LastStep(), scale=SCALE),
    "last step, unreduced": unreduced,
}


def measure(lab: Lab) -> Any:
    """Each loss with each seed."""
    return {
        name: [
            lab.keep(f"{name}, seed {seed}", partial(train_and_test, lab, name, loss, seed))
            for seed in lab.seeds(lab.pick(1, 2, 5))
        ]
        for name, loss in LOSSES.items()
    }


def train_and_test(lab: Lab, name: str, loss: Loss, seed: int, form: Form | None = None) -> dict[str, float]:
    """Quality of samples, bits of the bound, error of eps on held-out digits."""
    digits = data.digits()
    denoise = load_or_train(
        lab, "eps" if loss is LOSSES[USUAL] else name, loss, digits.train.to(lab.device), seed, form
    )
    drawn = data.draw(denoise, SigmaHat(), lab.pick(5, NUM_STEPS), data.num_drawn(lab), seed, device=lab.device)
    generator = torch.Generator().manual_seed(0)
    held_out = digits.held_out[: lab.pick(20, NUM_BOUNDED)].to(lab.device)
    bound = variational_bound(denoise, SCHEDULE, held_out, lab.pick(5, NUM_STEPS), bins=data.BINS, generator=generator)
    with torch.no_grad():
        error = loss_of(Simple())(denoise, digits.held_out.repeat(lab.pick(1, 20), 1, 1, 1).to(lab.device), generator)
    return vars(digits.judge(drawn)) | {"bits": float(bound.total.mean()), "loss": float(error)}


def show(result: Any, page: Page, pictures: Pictures) -> Sequence[Claim]:
    """One row for each loss."""
    page.heading("The weights of the terms, in training")
    page.text(
        """The digits of the package (8 × 8, 1,200 to learn from, 597 held out), a residual perceptron, the same steps
        of Adam for all. Distance: Fréchet distance of 300 samples to the held-out digits in the features of a small
        classifier, drawn in 100 steps with sigma = beta. Bound: `variational_bound` of 100 of them over 100 steps,
        bits per pixel. Error: mean square error of eps on held-out digits, every t alike. Mean and standard deviation
        over the seeds; less is better everywhere."""
    )
    page.table(
        ["loss", "distance", "bound, bits", "error of eps", "seeds"],
        [
            [
                name,
                spread([run["distance"] for run in runs], 2),
                spread([run["bits"] for run in runs], 3),
                spread([run["loss"] for run in runs], 4),
                str(len(runs)),
            ]
            for name, runs in result.items()
        ],
    )
    return _claims(result)


def compare(result: Any, one: str, other: str, measure: str) -> tuple[list[float], str]:
    """How much lower the first is, seed by seed, and that in words."""
    gains = [b[measure] - a[measure] for a, b in zip(result[one], result[other], strict=True)]
    a, b = (mean(run[measure] for run in result[name]) for name in (one, other))
    return gains, f"{measure} {a:.3g} against {b:.3g} ({sum(g > 0 for g in gains)} of {len(gains)} seeds)"


def _claims(result: Any) -> list[Claim]:
    better, said = compare(result, "no weight", "weights of the bound", "distance")
    bits, said_bits = compare(result, "weights of the bound", "no weight", "bits")
    reduced, said_reduced = compare(result, "last step, reduced", "last step, unreduced", "loss")
    _, said_samples = compare(result, "last step, reduced", "last step, unreduced", "distance")
    return [
        judge(
            "Without the weights of the bound samples are better",
            min(better) > 0,
            f"no weight {said}; the bound itself is better with its weights in {sum(g > 0 for g in bits)} of "
            f"{len(bits)} seeds ({said_bits})",
            partly=mean(better) > 0,
        ),
        judge(
            "The reduced loss trains better at equal cost",
            min(reduced) > 0,
            f"reduced {said_reduced}; {said_samples}",
            partly=mean(reduced) > 0,
        ),
    ]
