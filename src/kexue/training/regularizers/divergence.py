"""By which divergence two passes are compared: the one that is named, or the one that fits the job's loss."""

from __future__ import annotations

from typing import Literal

from kexue.errors import OptionError
from kexue.training.regularizers.regularizer import Job

Divergence = Literal["sigmoid", "softmax", "squared"]


def name_of(chosen: Divergence | None, job: Job) -> str:
    """The divergence that is meant; raises `OptionError` for one that the job has no use for."""
    if not job.divergences:
        raise OptionError(
            "this head has no scores of token pairs by which two passes could be compared; choose another"
        )
    name = chosen or job.divergences[0]
    if name not in job.divergences:
        raise OptionError(f"divergence {name!r} is of no use here; allowed: {', '.join(map(repr, job.divergences))}")
    return name
