"""How much is trained: FULL in half an hour on two cores, LONG for a GPU, QUICK to see in half a minute that it runs.

What FULL has trained, LONG goes on from.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from kexue.studies.options import StudyOptions


@dataclass(frozen=True)
class Sizes:
    """Seeds of each variant; epochs and batches of a training; resamples of the test set.

    `encoder` in place of the one of the set's language, and of each split at most so many sentences, where they are
    given.
    """

    num_seeds: int
    epochs: int
    batch_size: int = 16
    num_samples: int = 2000
    encoder: str | None = None
    most: int | None = None


FULL = Sizes(num_seeds=1, epochs=10)
LONG = replace(FULL, num_seeds=3)
QUICK = Sizes(num_seeds=1, epochs=1, num_samples=100, encoder="gau-tiny", most=12)
LARGE = {"webnlg": Sizes(num_seeds=1, epochs=8, batch_size=32), "duie": Sizes(num_seeds=1, epochs=5, batch_size=32)}
"""Sets of several thousand sentences, whatever is asked for but a quick run."""


def sizes_for(data: str, options: StudyOptions) -> Sizes:
    """How much is trained on a set."""
    return options.pick(QUICK, LARGE.get(data, FULL), LARGE.get(data, LONG))
