"""The networks of this study: eps of the digits, for each form and seed."""

from __future__ import annotations

import torch

from kexue.diffusion import NetworkDenoiser, Simple
from kexue.studies import digits as data
from kexue.studies.lab import Lab
from kexue.studies.networks import Form, load_or_train, loss_of


def network(lab: Lab, form: Form, seed: int, chain: int | None = None) -> NetworkDenoiser:
    """A trained denoiser; it has seen so many times only, where a number is given, out of 1000."""
    times = None if chain is None else torch.arange(1, chain + 1) / chain
    name = "eps" if chain is None else f"eps at {chain} times"
    x = data.digits().train.to(lab.device)
    return load_or_train(lab, name, loss_of(Simple(), chain=times), x, seed, form)
