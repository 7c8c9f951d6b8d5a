"""How much is measured: FULL in half an hour on a CPU, LONG for a GPU, QUICK to see in half a minute that it runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from kexue.layers.initialization import INITIALIZATIONS
from kexue.ops.attention import ATTENTIONS
from kexue.studies.gau_warmup.branch import Grid
from kexue.studies.gau_warmup.training import Training


@dataclass(frozen=True)
class Sizes:
    """Branches that are measured; trainings by depth, and the depth at which initialisations are compared.

    `num_seeds` trainings of each kind, begun seed by seed.
    """

    curves: Grid
    kinds: Grid
    training: Training
    depths: Sequence[int]
    beginnings_depth: int
    num_seeds: int


LENGTHS = (16, 32, 64, 128, 256, 512, 1024, 2048)
FULL = Sizes(
    curves=Grid(LENGTHS, key_dims=(32, 128), initializations=("lecun",), attentions=("squared_relu",)),
    kinds=Grid((64, 512), key_dims=(128,), initializations=tuple(INITIALIZATIONS), attentions=tuple(ATTENTIONS)),
    training=Training(steps=300, batch_size=8),
    depths=(12, 24, 48, 100),
    beginnings_depth=48,
    num_seeds=1,
)
LONG = replace(FULL, training=Training(steps=2000, batch_size=32, learning_rate=3e-4), num_seeds=3)
QUICK = Sizes(
    curves=Grid((16, 64), (32,), ("lecun",), ("squared_relu",), dim=64, tokens=64),
    kinds=Grid((16,), (32,), tuple(INITIALIZATIONS), ("squared_relu", "softmax"), dim=64, tokens=64),
    training=Training(steps=20, batch_size=8, length=32, dim=32),
    depths=(4, 12),
    beginnings_depth=4,
    num_seeds=1,
)
