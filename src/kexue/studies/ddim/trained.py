"""The networks of this study: eps of the digits, trained once for each form and seed, kept for all parts of a run."""

from __future__ import annotations

import torch

from kexue.diffusion import NetworkDenoiser, Simple
from kexue.studies import digits as data
from kexue.studies.lab import Lab
from kexue.studies.networks import Form, loss_of, make, sized, train

KEPT: dict[tuple[object, ...], NetworkDenoiser] = {}


def network(lab: Lab, form: Form, seed: int, chain: int | None = None) -> NetworkDenoiser:
    """A trained denoiser; it has seen so many times only, where a number is given, out of 1000."""
    key = (lab.options.scale, lab.device.type, form, seed, chain)
    if key not in KEPT:
        own, training = sized(lab, form)
        times = None if chain is None else torch.arange(1, chain + 1) / chain
        x = data.digits().train.to(lab.device)
        KEPT[key] = train(make(data.DIM, own, seed), loss_of(Simple(), chain=times), x, training, seed)
    return KEPT[key]
