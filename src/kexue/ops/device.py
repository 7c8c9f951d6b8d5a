"""The device to compute on, the one asked for or the best there is, and the precision there."""

from __future__ import annotations

import torch

from kexue.errors import OptionError, unknown

DTYPES = ("float32", "bfloat16")
"""In which the networks of trained models compute."""


def choose_device(name: str | None = None) -> torch.device:
    """The device asked for, or the best there is; raises `OptionError` for one that this machine does not have."""
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).partition("\n")[0]
        raise OptionError(f"device {name!r} cannot be used here ({reason}); cpu always can") from None
    return device


def check_dtype(name: str) -> None:
    """Raise `OptionError` for what is not one of `DTYPES`."""
    if name not in DTYPES:
        raise OptionError(unknown("dtype", name, DTYPES))
