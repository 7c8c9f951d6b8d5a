"""How the weights of a gated attention unit begin: the standard deviations of its matrices from their sizes.

    LeCun            d^(-1/2) and e^(-1/2): every matrix keeps the variance of what comes in
    Xavier           (2 / (fan-in + fan-out))^(1/2), of the matrices W_u, W_v, W_z, or of all three as one
    Normal           the same for all, 0.02 in BERT and in Hua et al. 2022
    DepthScaled      LeCun's times N^(-1/3) for N units, as GAU-alpha has it

Which one it is decides how large the branch is beside the state that it is added to, and so whether deep stacks with
the norm after the sum train at once (kexue.fm/archives/8990). W_z has s columns only: as a matrix of its own Xavier
makes it twice as large, and the branch a hundred times. Source of the last one: kexue.fm/archives/9052.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import NamedTuple


class UnitSizes(NamedTuple):
    """Of the unit's matrices: width of states, of U and V, of Z; and how many units the stack has."""

    dim: int
    inner: int
    key_dim: int
    num_units: int


class Deviations(NamedTuple):
    """Standard deviations of W_u and W_v, of W_z, and of W_o."""

    gate: float
    key: float
    output: float


class Initialization(ABC):
    """A rule for the standard deviations."""

    @abstractmethod
    def deviations(self, sizes: UnitSizes) -> Deviations:
        """Those of a unit's matrices."""


@dataclass(frozen=True, slots=True)
class LeCun(Initialization):
    """Fan-in to the power -1/2."""

    def deviations(self, sizes: UnitSizes) -> Deviations:
        return Deviations(sizes.dim**-0.5, sizes.dim**-0.5, sizes.inner**-0.5)


@dataclass(frozen=True, slots=True)
class FusedXavier(Initialization):
    """Xavier's of one matrix for U, V and Z together, as bert4keras computes them."""

    def deviations(self, sizes: UnitSizes) -> Deviations:
        fused = _xavier(sizes.dim, 2 * sizes.inner + sizes.key_dim)
        return Deviations(fused, fused, _xavier(sizes.inner, sizes.dim))


@dataclass(frozen=True, slots=True)
class SeparateXavier(Initialization):
    """Xavier's of each matrix."""

    def deviations(self, sizes: UnitSizes) -> Deviations:
        gate = _xavier(sizes.dim, sizes.inner)
        return Deviations(gate, _xavier(sizes.dim, sizes.key_dim), gate)


@dataclass(frozen=True, slots=True)
class Normal(Initialization):
    """The same number for all."""

    deviation: float = 0.02

    def deviations(self, sizes: UnitSizes) -> Deviations:
        return Deviations(self.deviation, self.deviation, self.deviation)


@dataclass(frozen=True, slots=True)
class DepthScaled(Initialization):
    """LeCun's times N^(-1/order): three matrices lie in series, so a branch begins at about 1/N."""

    order: float = 3.0

    def deviations(self, sizes: UnitSizes) -> Deviations:
        gain = sizes.num_units ** (-1 / self.order)
        return Deviations(*(gain * deviation for deviation in LeCun().deviations(sizes)))


def _xavier(fan_in: int, fan_out: int) -> float:
    return math.sqrt(2 / (fan_in + fan_out))


INITIALIZATIONS: dict[str, type[Initialization]] = {
    "lecun": LeCun,
    "xavier_fused": FusedXavier,
    "xavier": SeparateXavier,
    "normal": Normal,
    "depth_scaled": DepthScaled,
}
