"""The lessons from writing it: how the loss is summed, what normalises, how the time is told. Trained on the digits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from statistics import mean
from typing import Any

import torch
from torch import Tensor

from kexue.diffusion import Denoiser, SigmaHat, Simple
from kexue.studies import digits as data
from kexue.studies.claims import Claim, judge
from kexue.studies.ddpm_vae.objectives import by_objective, compare
from kexue.studies.lab import Lab
from kexue.studies.networks import Form, Loss, Training, make, train
from kexue.studies.page import Page, spread
from kexue.studies.pictures import Pictures

MEAN = by_objective(Simple())


def summed(denoise: Denoiser, x0: Tensor, generator: torch.Generator) -> Tensor:
    """The squared Euclidean distance, summed over the pixels."""
    return data.DIM * MEAN(denoise, x0, generator)


@dataclass(frozen=True)
class Variant:
    """What is other than usual."""

    loss: Loss = MEAN
    change: Mapping[str, Any] | None = None


USUAL = "layer norm, waves of time, mean over pixels"
VARIANTS = {
    USUAL: Variant(),
    "sum over pixels": Variant(loss=summed),
    "batch norm": Variant(change={"norm": "batch"}),
    "no norm": Variant(change={"norm": "none"}),
    "table of times": Variant(change={"table": True}),
}


def measure(lab: Lab) -> Any:
    """Each variant with each seed."""
    return {
        name: [
            lab.keep(f"{name}, seed {seed}", partial(_train, lab, variant, seed))
            for seed in lab.seeds(lab.pick(1, 3, 5))
        ]
        for name, variant in VARIANTS.items()
    }


def _train(lab: Lab, variant: Variant, seed: int) -> dict[str, float]:
    digits = data.digits()
    form = replace(lab.pick(Form(32, 1), Form(), Form(768, 6)), **(variant.change or {}))
    training = Training(lab.pick(20, 4000, 20000), lab.pick(16, 128))
    denoise = train(make(data.DIM, form, seed), variant.loss, digits.train.to(lab.device), training, seed)
    drawn = data.draw(denoise, SigmaHat(), lab.pick(5, 500), lab.pick(40, 1000, 5000), seed, device=lab.device)
    with torch.no_grad():
        held_out = digits.held_out.repeat(lab.pick(1, 20), 1, 1, 1).to(lab.device)
        loss = MEAN(denoise, held_out, torch.Generator().manual_seed(0))
    return vars(digits.judge(drawn)) | {"loss": float(loss)}


def show(result: Any, page: Page, pictures: Pictures) -> Sequence[Claim]:
    """One row for each variant."""
    page.heading("Lessons from writing it")
    page.text("The same training without weights, one thing changed at a time; the columns are as above.")
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
            f"table {said_table}",
        ),
    ]
