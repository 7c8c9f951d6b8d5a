"""How large the branch is beside the state at the start: rms(GAU(x)) / rms(x) for x ~ N(0, 1), measured and estimated.

    the article   s nu^6 / n:  A is almost diagonal, A_ii = s nu^4 / n
    corrected     nu (E (AV)^2)^(1/2),
                  E (AV)^2 = A_ii^2 nu^2 + 2 A_ii (n-1) a mu^2 + (n-1) (n-2) a^2 mu^2 + (n-1) b nu^2

for squared ReLU over n s, LeCun's weights, no positions; mu and nu^2 are the moments of silu(N(0, 1)), a and b those of
A_ij off the diagonal, from relu(G)^2 / (n s) with G ~ N(s mu^2, s (nu^4 - mu^4)). The many small weights add up,
because silu has a mean: where the article lets the branch fade as 1/n, it stays above nu mu E relu(G)^2 / s.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from torch import Tensor

from kexue.layers.gau import GatedAttentionUnit
from kexue.layers.initialization import INITIALIZATIONS, UnitSizes
from kexue.ops.attention import ATTENTIONS

NUM_UNITS = 24
"""In the stack that the initialisation by depth is told of."""


@dataclass(frozen=True)
class Setting:
    """One unit of width d with e = 2 d."""

    num_tokens: int
    key_dim: int
    initialization: str
    attention: str
    rotary: bool


@dataclass(frozen=True)
class Grid:
    """What is measured: every combination, at width `dim`, over `num_texts` texts or as many as `tokens` allow."""

    num_tokens: Sequence[int]
    key_dims: Sequence[int]
    initializations: Sequence[str]
    attentions: Sequence[str]
    dim: int = 768
    tokens: int = 1024

    def settings(self) -> Iterator[Setting]:
        """With and without rotary positions."""
        for values in product(self.num_tokens, self.key_dims, self.initializations, self.attentions, (False, True)):
            yield Setting(*values)


def measure(grid: Grid, seeds: Sequence[int], device: torch.device) -> dict[Setting, list[float]]:
    """The ratio of each setting, one for each seed."""
    return {setting: [ratio(setting, grid, seed, device) for seed in seeds] for setting in grid.settings()}


@torch.no_grad()
def ratio(setting: Setting, grid: Grid, seed: int, device: torch.device) -> float:
    """rms(GAU(x)) / rms(x)."""
    generator = torch.Generator(device).manual_seed(seed)
    unit = GatedAttentionUnit(
        grid.dim,
        key_dim=setting.key_dim,
        attention=ATTENTIONS[setting.attention](),
        rotary_base=10000.0 if setting.rotary else None,
    ).to(device)
    begin(unit, setting.initialization, generator)
    num_texts = max(1, grid.tokens // setting.num_tokens)
    x = torch.randn(num_texts, setting.num_tokens, grid.dim, generator=generator, device=device)
    return (_rms(unit(x)) / _rms(x)).item()


def begin(unit: GatedAttentionUnit, initialization: str, generator: torch.Generator) -> None:
    """Draw the weights of a unit anew."""
    sizes = UnitSizes(unit.input.in_features, unit.output.in_features, unit.key_dim, NUM_UNITS)
    deviations = INITIALIZATIONS[initialization]().deviations(sizes)
    gates, keys = unit.input.weight.split([2 * sizes.inner, sizes.key_dim])
    for weight, deviation in zip((gates, keys, unit.output.weight), deviations, strict=True):
        weight.normal_(std=deviation, generator=generator)


def _rms(x: Tensor) -> Tensor:
    return x.square().mean().sqrt()


def normal_mean(function: Callable[[np.ndarray], np.ndarray], mean: float = 0.0, deviation: float = 1.0) -> float:
    """The mean of a function of a normal number, by the trapezoid rule over ten deviations."""
    x = np.linspace(-10.0, 10.0, 20001)
    density = np.exp(-x * x / 2) / math.sqrt(2 * math.pi)
    return float(np.trapezoid(function(mean + deviation * x) * density, x))


def silu_moments() -> tuple[float, float]:
    """mu = E silu(x) and nu = (E silu(x)^2)^(1/2) for x ~ N(0, 1)."""

    def silu(x: np.ndarray) -> np.ndarray:
        return x / (1 + np.exp(-x))

    return normal_mean(silu), math.sqrt(normal_mean(lambda x: silu(x) ** 2))


def article_estimate(num_tokens: int, key_dim: int) -> float:
    """s nu^6 / n."""
    return key_dim * silu_moments()[1] ** 6 / num_tokens


def corrected_estimate(num_tokens: int, key_dim: int) -> float:
    """With the weights off the diagonal."""
    mu, nu = silu_moments()
    n, s = num_tokens, key_dim
    own = s * nu**4 / n
    off, square = (_relu_moment(order, s, mu, nu) / (n * s) ** (order // 2) for order in (2, 4))
    mixed = (
        own**2 * nu**2 + 2 * own * (n - 1) * off * mu**2 + (n - 1) * (n - 2) * off**2 * mu**2 + (n - 1) * square * nu**2
    )
    return nu * math.sqrt(mixed)


def floor_estimate(key_dim: int) -> float:
    """What the corrected estimate tends to as n grows."""
    mu, nu = silu_moments()
    return nu * mu * _relu_moment(2, key_dim, mu, nu) / key_dim


def _relu_moment(order: int, key_dim: int, mu: float, nu: float) -> float:
    """E relu(G)^order."""
    deviation = math.sqrt(key_dim * (nu**4 - mu**4))
    return normal_mean(lambda x: np.maximum(x, 0) ** order, key_dim * mu**2, deviation)
