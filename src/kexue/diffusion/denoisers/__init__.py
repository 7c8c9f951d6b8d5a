"""Networks that denoise images, by name; a `DenoisingNetwork` is called as network(x_t, t, labels=None)."""

from __future__ import annotations

from kexue.diffusion.denoisers.gau import GAUDenoiser
from kexue.diffusion.denoisers.network import DenoisingNetwork
from kexue.diffusion.denoisers.unet import UNet

DENOISERS: dict[str, type[DenoisingNetwork]] = {"unet": UNet, "gau": GAUDenoiser}

__all__ = ["DENOISERS", "DenoisingNetwork", "GAUDenoiser", "UNet"]
