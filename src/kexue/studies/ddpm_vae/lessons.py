"""The lessons from writing it: how the loss is summed, what normalises, how the time is told. Trained on the digits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from statistics import mean
from typing import Any

import torch
from torch import Tensor

from kexue.diffusion import Denoiser
from kexue.studies import digits as data
from kexue.studies.claims import Claim, judge
from kexue.studies.ddpm_vae.objectives import LOSSES, USUAL, compare, train_and_test
from kexue.studies.lab import Lab
from kexue.studies.networks import Form, Loss
from kexue.studies.page import Page, spread
from kexue.studies.pictures import Pictures

MEAN = LOSSES[USUAL]


def summed(denoise: Denoiser, x0: Tensor, generator: torch.Generator) -> Tensor:
    """The squared Euclidean distance, summed over the pixels."""
    return data.DIM * MEAN(denoise, x0, generator)


@dataclass(frozen=True)
class Variant:
    """What is other than usual."""

    loss: Loss = MEAN
    form: Form | None = None


VARIANTS = {
    USUAL: Variant(),
    "sum over pixels": Variant(loss=summed),
    "batch norm": Variant(form=Form(norm="batch")),
    "table of times": Variant(form=Form(table=True)),
}


def measure(lab: Lab) -> Any:
    """Each variant with each seed; the usual one is that without weights of the part before."""
    return {
        name: [
            lab.keep(f"{name}, seed {seed}", partial(train_and_test, lab, name, variant.loss, seed, variant.form))
            for seed in lab.seeds(lab.pick(1, 2, 5))
        ]
        for name, variant in VARIANTS.items()
    }


def show(result: Any, page: Page, pictures: Pictures) -> Sequence[Claim]:
    """One row for each variant."""
    page.heading("Lessons from writing it")
    page.text(
        """The training without weights (layer norm, sines and cosines of time, mean over pixels), one thing changed at
        a time. Noise: mean distance of samples to the nearest training digit, over that of held-out digits."""
    )
    page.table(
        ["", "distance", "noise", "error of eps"],
        [
            [
                name,
                *(
                    spread([run[key] for run in runs], digits)
                    for key, digits in (("distance", 2), ("noise", 3), ("loss", 4))
                ),
            ]
            for name, runs in result.items()
        ],
    )
    return _claims(result)


def _claims(result: Any) -> list[Claim]:
    sums, said_sums = compare(result, "sum over pixels", USUAL, "distance")
    batch, said_batch = compare(result, USUAL, "batch norm", "distance")
    table, said_table = compare(result, "table of times", USUAL, "distance")
    usual = mean(run["distance"] for run in result[USUAL])
    return [
        judge(
            "The loss has to be summed over the pixels, not averaged",
            min(sums) > 0 and mean(sums) > usual / 4,
            f"sum {said_sums}. With torch's Adam the factor cancels; the article's comments say so too (2025)",
        ),
        judge("No batch norm", min(batch) > 0, f"layer norm {said_batch}", partly=mean(batch) > 0),
        judge(
            "A trained table of times does as well as sines and cosines",
            abs(mean(table)) < usual / 4,
            f"table {said_table}; in so few steps each row of the table is seen a few dozen times, "
            "which longer trainings may mend",
        ),
    ]
