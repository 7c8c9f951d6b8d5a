"""What an unfinished training is resumed from: folders `checkpoint-STEP` that are complete or not used.

A file `complete` is written last and removed first, so a process that is killed while it writes or removes a
checkpoint never leaves one that looks whole.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

COMPLETE = "complete"


def newest_checkpoint(folder: Path) -> Path | None:
    """The last complete checkpoint in a folder; whatever else a killed process left there is removed."""
    found = sorted(folder.glob("checkpoint-*"), key=_step)
    complete = [path for path in found if (path / COMPLETE).exists()]
    newest = complete[-1] if complete else None
    _discard_all_but(newest, found)
    return newest


def complete_checkpoint(checkpoint: Path) -> None:
    """Declare that all its files are written, and remove the checkpoints before it."""
    for path in checkpoint.iterdir():
        with path.open("rb+") as file:
            os.fsync(file.fileno())
    (checkpoint / COMPLETE).touch()
    _discard_all_but(checkpoint, list(checkpoint.parent.glob("checkpoint-*")))


def discard_checkpoints(folder: Path) -> None:
    """Remove all checkpoints in a folder."""
    _discard_all_but(None, list(folder.glob("checkpoint-*")))


def _discard_all_but(kept: Path | None, checkpoints: list[Path]) -> None:
    for path in checkpoints:
        if path != kept:
            (path / COMPLETE).unlink(missing_ok=True)
            shutil.rmtree(path)


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.rpartition("-")[2])
