"""Several processes, one training (`torchrun`): which of them speaks, and how the others hear what it decided."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TypeVar

import torch.distributed as dist

if TYPE_CHECKING:
    from transformers import Trainer

T = TypeVar("T")


def is_first_process() -> bool:
    """Whether this process reads the user's folder for all, prints and writes; known before training begins."""
    return os.environ.get("RANK", "0") == "0"


def num_processes() -> int:
    """How many processes `torchrun` started; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def from_first_process(value: T) -> T:
    """The first process's value, in every process."""
    if not _in_a_group():
        return value
    box = [value]
    dist.broadcast_object_list(box, src=0)
    return box[0]


def leave_together(trainer: Trainer) -> None:
    """Let go of what holds the group, wait for all processes, and part.

    A process that exits while its group is alive, or held by a wrapped model, can be aborted by its own threads.
    """
    if _in_a_group():
        trainer.model_wrapped = trainer.model
        trainer.accelerator.free_memory()
        dist.barrier()
        dist.destroy_process_group()


def _in_a_group() -> bool:
    return dist.is_available() and dist.is_initialized()
