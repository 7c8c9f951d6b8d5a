"""The networks of this study: eps of the digits, trained once for each form and seed, kept for all parts of a run."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from kexue.diffusion import Denoiser, NetworkDenoiser, Simple, training_loss
from kexue.studies import digits as data
from kexue.studies.lab import Lab
from kexue.studies.networks import SCHEDULE, Form, Training, draw_noise, draw_times, make, train


def network(lab: Lab, form: Form, seed: int, chain: int | None = None) -> NetworkDenoiser:
    """A trained denoiser; `chain` times only, where a number is given, out of 1000."""
    return _network(lab.options.scale, lab.device.type, form, seed, chain)


@cache
def _network(scale: str, device: str, form: Form, seed: int, chain: int | None) -> NetworkDenoiser:
    sizes = {
        "quick": (Form(32, 1, form.norm, form.table), Training(20, 16)),
        "full": (form, Training()),
        "long": (Form(3 * form.width, 2 * form.blocks, form.norm, form.table), Training(20000)),
    }
    own, training = sizes[scale]
    times = None if chain is None else torch.arange(1, chain + 1).double() / chain

    def loss(denoise: Denoiser, x0: Tensor, generator: torch.Generator) -> Tensor:
        t = draw_times(len(x0), generator, x0.device, times)
        return training_loss(denoise, SCHEDULE, Simple(), x0, t, draw_noise(x0, generator)).mean()

    return train(make(data.DIM, own, seed), loss, data.digits().train.to(device), training, seed)
