"""Gated attention units for images: patches as tokens, their rows and columns as rotary positions.

    x <- x + gate(c) * GAU(norm(x) * (1 + scale(c)) + shift(c)),      c = MLP(features of t) + class

The units are those of the text encoder; the article's author ran DDPM on them too (Su, kexue.fm/archives/9984, 2024).
Time and class enter as in DiT (Peebles and Xie 2023): every gate begins at 0, so each layer begins as the identity.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from kexue.diffusion.denoisers.network import NUM_TIMES, DenoisingNetwork
from kexue.errors import OptionError, unknown
from kexue.layers.gau import GatedAttentionUnit
from kexue.ops.attention import Softmax

MOST_TOKENS = 256
PRESETS: dict[str, dict[str, int]] = {
    "tiny": {"dim": 96, "num_layers": 6, "key_dim": 48},
    "small": {"dim": 192, "num_layers": 12, "key_dim": 64},
    "medium": {"dim": 320, "num_layers": 16, "key_dim": 96},
    "base": {"dim": 512, "num_layers": 24, "key_dim": 128},
}
"""Sizes by name."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """Form of a `GAUDenoiser`: of its images (`patch` pixels square are one token) and of its layers."""

    channels: int
    height: int
    width: int
    patch: int
    dim: int
    num_layers: int
    key_dim: int
    num_classes: int = 0
    dropout: float = 0.0

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of tokens."""
        return self.height // self.patch, self.width // self.patch


class GAUDenoiser(DenoisingNetwork):
    """A stack of gated attention units on the patches of an image."""

    kind = "gau"

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.num_classes = sizes.num_classes
        self.gradient_checkpointing = False
        values = sizes.channels * sizes.patch**2
        self.input = nn.Linear(values, sizes.dim)
        self.time = nn.Sequential(nn.Linear(sizes.dim, sizes.dim), nn.SiLU(), nn.Linear(sizes.dim, sizes.dim))
        self.label = nn.Embedding(sizes.num_classes + 1, sizes.dim) if sizes.num_classes else None
        self.layers = nn.ModuleList(ConditionedUnit(sizes) for _ in range(sizes.num_layers))
        self.norm = nn.LayerNorm(sizes.dim)
        self.output = nn.Linear(sizes.dim, values)
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)

    def forward(self, x_t: Tensor, t: Tensor, labels: Tensor | None = None) -> Tensor:
        """What the parameterization says of x_t float[batch, channels, height, width] at times t float[batch]."""
        x = self.input(to_patches(x_t, self.sizes.patch))
        places = grid_places(*self.sizes.grid, device=x.device)
        condition = self._condition(x_t, t, labels).to(x.dtype)
        for layer in self.layers:
            if self.gradient_checkpointing and self.training:
                x = checkpoint(layer, x, condition, places, use_reentrant=False)
            else:
                x = layer(x, condition, places)
        return from_patches(self.output(self.norm(x)), self.sizes.grid, self.sizes.patch)

    def _condition(self, x_t: Tensor, t: Tensor, labels: Tensor | None) -> Tensor:
        condition: Tensor = self.time(time_features(t, self.sizes.dim).to(self.input.weight.dtype))
        classes = self.classes(labels, x_t)
        return condition if self.label is None else condition + self.label(classes)

    @property
    def config(self) -> dict[str, Any]:
        """The sizes."""
        return asdict(self.sizes)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """A network with fresh weights; raises `OptionError` for sizes that no network of this kind has."""
        sizes = Sizes(**config)
        _check(sizes)
        return cls(sizes)

    @classmethod
    def preset(cls, name: str, shape: tuple[int, int, int], num_classes: int = 0, dropout: float = 0.0) -> Self:
        """A network of `PRESETS`, with the smallest patches that make at most 256 tokens of an image."""
        if name not in PRESETS:
            raise OptionError(unknown("GAU denoiser", name, list(PRESETS)))
        channels, height, width = shape
        patch = smallest_patch(height, width)
        return cls(Sizes(channels, height, width, patch, num_classes=num_classes, dropout=dropout, **PRESETS[name]))

    def gradient_checkpointing_enable(self) -> None:
        """Layer by layer."""
        self.gradient_checkpointing = True

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of the images."""
        return self.sizes.channels, self.sizes.height, self.sizes.width


def _check(sizes: Sizes) -> None:
    for name, value in asdict(sizes).items():
        if name != "dropout" and (type(value) is not int or value < (name != "num_classes")):
            raise OptionError(f"{name} must be a whole number from 1, got {value!r}")
    if sizes.height % sizes.patch or sizes.width % sizes.patch or math.prod(sizes.grid) > 16 * MOST_TOKENS:
        size = f"{sizes.height} x {sizes.width}"
        raise OptionError(f"images of {size} are not cut into at most {16 * MOST_TOKENS:,} squares of {sizes.patch}")


class ConditionedUnit(nn.Module):
    """x + gate * GAU(norm(x) * (1 + scale) + shift), the three of them linear in the condition and 0 at first."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(sizes.dim, elementwise_affine=False)
        self.unit = GatedAttentionUnit(
            sizes.dim,
            key_dim=sizes.key_dim,
            attention=Softmax(),
            dropout=sizes.dropout,
            recompute=False,  # the likelihood takes batches of gradients
        )
        modulation = nn.Linear(sizes.dim, 3 * sizes.dim)
        nn.init.zeros_(modulation.weight)
        nn.init.zeros_(modulation.bias)
        self.modulation = nn.Sequential(nn.SiLU(), modulation)

    def forward(self, x: Tensor, condition: Tensor, places: Tensor) -> Tensor:
        """States [batch, tokens, dim] given the condition [batch, dim] and the tokens' rows and columns."""
        shift, scale, gate = self.modulation(condition)[:, None].chunk(3, dim=-1)
        out: Tensor = x + gate * self.unit(self.norm(x) * (1 + scale) + shift, places=places)
        return out


def smallest_patch(height: int, width: int) -> int:
    """The side of the smallest square patches that tile an image into at most `MOST_TOKENS`.

    Raises `OptionError` if there is none but the image itself.
    """
    for patch in range(1, math.gcd(height, width) + 1):
        tiles = height % patch == 0 and width % patch == 0
        if tiles and height * width <= MOST_TOKENS * patch**2:
            return patch
    raise OptionError(f"images of {height} x {width} cannot be cut into at most {MOST_TOKENS} square patches")


def to_patches(x: Tensor, patch: int) -> Tensor:
    """[batch, channels, height, width] to [batch, tokens, channels * patch * patch], row by row."""
    return nn.functional.unfold(x, patch, stride=patch).mT


def from_patches(tokens: Tensor, grid: tuple[int, int], patch: int) -> Tensor:
    """The inverse of `to_patches`."""
    size = (grid[0] * patch, grid[1] * patch)
    return nn.functional.fold(tokens.mT, size, patch, stride=patch)


def grid_places(rows: int, columns: int, device: torch.device | None = None) -> Tensor:
    """Row and column of each token, long[rows * columns, 2]."""
    return torch.cartesian_prod(torch.arange(rows, device=device), torch.arange(columns, device=device))


def time_features(t: Tensor, dim: int) -> Tensor:
    """cos and sin of 1000 t at frequencies from 1 down to 1e-4: float32[batch, dim] (Vaswani et al. 2017)."""
    fractions = torch.arange(dim // 2, device=t.device, dtype=torch.float64) / (dim // 2)
    frequencies = torch.exp(-math.log(1e4) * fractions)
    angles = t.to(torch.float64)[:, None] * NUM_TIMES * frequencies
    return torch.cat([angles.cos(), angles.sin()], dim=-1).float()
