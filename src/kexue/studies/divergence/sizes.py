"""How much is trained: FULL in half an hour on two cores, LONG for a GPU, QUICK to see in half a minute that it runs.

What FULL has trained, LONG goes on from.
"""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Sizes:
    """Seeds of each variant; encoder and epochs of a training; resamples of the test set."""

    num_seeds: int
    encoder: str
    epochs: int
    num_samples: int


FULL = Sizes(num_seeds=1, encoder="minilm", epochs=10, num_samples=2000)
LONG = replace(FULL, num_seeds=3)
QUICK = Sizes(num_seeds=1, encoder="gau-tiny", epochs=1, num_samples=100)
