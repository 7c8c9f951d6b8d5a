"""How much is trained: FULL for the page in the documentation, QUICK to see in half a minute that it runs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Sizes:
    """Seeds of each variant; encoder and epochs of a training; resamples of the test set."""

    num_seeds: int
    encoder: str
    epochs: int
    num_samples: int


FULL = Sizes(num_seeds=3, encoder="minilm", epochs=10, num_samples=2000)
QUICK = Sizes(num_seeds=1, encoder="gau-tiny", epochs=1, num_samples=100)
