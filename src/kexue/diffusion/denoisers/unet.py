"""The U-Net of Ho et al. 2020 as diffusers builds it: residual blocks at falling and rising resolution.

A network trained on step i = 0 ... N-1 of a chain is asked for step N t - 1, since step i belongs to t = (i + 1) / N.
"""

from __future__ import annotations

from typing import Any, Self

import torch
from torch import Tensor, nn

from kexue.diffusion.denoisers.network import NUM_TIMES, DenoisingNetwork
from kexue.errors import OptionError, unknown

PRESETS: dict[str, dict[str, Any]] = {
    "tiny": {"block_out_channels": (32, 64), "layers_per_block": 1, "attention": (1,), "norm_num_groups": 8},
    "small": {"block_out_channels": (32, 64, 128), "layers_per_block": 1, "attention": (2,), "norm_num_groups": 8},
    "medium": {"block_out_channels": (64, 128, 256), "layers_per_block": 1, "attention": (1,)},
    "base": {"block_out_channels": (128, 256, 256, 256), "layers_per_block": 2, "attention": (1,)},
}
"""Sizes by name; `attention` are the levels that have it, 0 the finest. "base" is Ho's network for CIFAR-10."""


class UNet(DenoisingNetwork):
    """A `UNet2DModel` of diffusers for times in [0, 1].

    Args:
        unet: a `UNet2DModel`, on steps 0 ... `num_times` - 1.
        num_times: length N of the chain that the network knows.
        num_classes: classes of the data; the network then has one more, for "any".
    """

    kind = "unet"

    def __init__(self, unet: nn.Module, num_times: int = NUM_TIMES, num_classes: int = 0) -> None:
        super().__init__()
        self.unet: Any = unet
        for module in unet.modules():
            if type(module).__name__ == "Attention":
                module.register_forward_hook(_contiguous)
        self.num_times = num_times
        self.num_classes = num_classes

    def forward(self, x_t: Tensor, t: Tensor, labels: Tensor | None = None) -> Tensor:
        """The U-Net's output, of which channels beyond those of x_t, a learnt variance, are left out."""
        step = whole_steps(t.to(torch.float64) * self.num_times - 1).to(torch.float32)
        out: Tensor = self.unet(x_t, step, class_labels=self.classes(labels, x_t)).sample
        return out[:, : x_t.shape[1]]

    @property
    def config(self) -> dict[str, Any]:
        """The configuration of the U-Net with the length of its chain and the number of classes."""
        unet = {key: value for key, value in self.unet.config.items() if not key.startswith("_")}
        return {"unet": unet, "num_times": self.num_times, "num_classes": self.num_classes}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """A network with fresh weights."""
        unet = unet_class().from_config(config["unet"])
        return cls(unet, config["num_times"], config["num_classes"])

    @classmethod
    def preset(cls, name: str, shape: tuple[int, int, int], num_classes: int = 0, dropout: float = 0.0) -> Self:
        """A network of `PRESETS`; height and width have to be divisible by 2 for each level after the first."""
        if name not in PRESETS:
            raise OptionError(unknown("U-Net", name, list(PRESETS)))
        sizes = PRESETS[name]
        channels, height, width = shape
        divisor = 2 ** (len(sizes["block_out_channels"]) - 1)
        if height % divisor or width % divisor:
            raise OptionError(
                f"the U-Net {name!r} halves images {divisor.bit_length() - 1} times, so height and width must be "
                f"multiples of {divisor}, got {height} x {width}: choose another size of images or of U-Net"
            )
        down, up = _blocks(len(sizes["block_out_channels"]), sizes["attention"])
        unet = unet_class()(
            sample_size=(height, width),
            in_channels=channels,
            out_channels=channels,
            down_block_types=down,
            up_block_types=up,
            attention_head_dim=None,
            dropout=dropout,
            num_class_embeds=num_classes + 1 if num_classes else None,
            **{key: value for key, value in sizes.items() if key != "attention"},
        )
        return cls(unet, NUM_TIMES, num_classes)

    @property
    def smallest(self) -> tuple[int, int]:
        """As often divisible by 2 as there are levels."""
        side = 2 ** len(self.unet.config.block_out_channels)
        return side, side

    def gradient_checkpointing_enable(self) -> None:
        """As diffusers does it, block by block."""
        self.unet.enable_gradient_checkpointing()

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of the images."""
        size = self.unet.config.sample_size
        height, width = (size, size) if isinstance(size, int) else size
        return self.unet.config.in_channels, height, width


def _contiguous(module: nn.Module, inputs: Any, output: Tensor) -> Tensor:
    """Attention leaves its output transposed, and convolutions have no batched derivative for that (likelihoods)."""
    return output.contiguous()


def whole_steps(steps: Tensor) -> Tensor:
    """Steps that are whole but for the rounding of a float32 time, made whole: the network was trained on those."""
    nearest = steps.round()
    return torch.where((steps - nearest).abs() < 1e-3, nearest, steps)


def _blocks(depth: int, attention: tuple[int, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    kinds = ["Attn" if level in attention else "" for level in range(depth)]
    return tuple(f"{kind}DownBlock2D" for kind in kinds), tuple(f"{kind}UpBlock2D" for kind in reversed(kinds))


def unet_class() -> Any:
    """Imported when a U-Net is wanted: diffusers takes seconds to import."""
    from diffusers import UNet2DModel

    return UNet2DModel
