"""How much is measured: FULL for the page in the documentation, QUICK to see in half a minute that it runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from kexue.studies.distributions.attention import AttentionTraining
from kexue.studies.distributions.classification import Training


@dataclass(frozen=True)
class Sizes:
    """Trainings by data set, (batch, classes) whose cost is measured in so many rounds, (classes, quantiles) of the
    article's quadrature, (rows, classes) of the locations that every law is tried on, points along a picture's panel.

    `limit` is in seconds: a map whose training or whose round of costs should take longer is left out there.
    """

    num_seeds: int
    limit: float
    training: Mapping[str, Training]
    attention: AttentionTraining
    costs: tuple[tuple[int, int], ...]
    rounds: int
    quadrature: tuple[tuple[int, int], ...]
    properties: tuple[int, int]
    points: int


FULL = Sizes(
    num_seeds=3,
    limit=40.0,
    training={
        "digits": Training(epochs=10),
        "fashion-mnist": Training(epochs=2, batch_size=128),
        "webnlg": Training(epochs=3, batch_size=128, hidden=64),
    },
    attention=AttentionTraining(steps=400, lengths=(16, 64, 256, 1024)),
    costs=((64, 10), (64, 200), (64, 1000)),
    rounds=3,
    quadrature=((4, 200), (100, 100), (100, 1000), (400, 100)),
    properties=(20, 10),
    points=91,
)
QUICK = Sizes(
    num_seeds=1,
    limit=4.0,
    training={"digits": Training(epochs=1)},
    attention=AttentionTraining(steps=10, lengths=(16, 32), num_tests=50),
    costs=((16, 10),),
    rounds=1,
    quadrature=((4, 200), (100, 100)),
    properties=(4, 6),
    points=15,
)
