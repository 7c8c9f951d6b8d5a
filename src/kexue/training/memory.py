"""What an unfinished training was begun with, kept beside its checkpoints: it goes on only with the same.

The folder `training` of an output holds the checkpoints, the description (`recipe.json`) and TensorBoard's logs; when
the model is finished only the logs stay.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from kexue.errors import OptionError
from kexue.files import write_json
from kexue.training.checkpoints import discard_checkpoints
from kexue.training.recipe import TrainingRecipe
from kexue.training.resumable import BEST

MEMORY = "recipe.json"
CONTENT = "content of the files"
FREE_TO_CHANGE = ("output", "device", "save_steps", "compile", "cache")  # a resumed training may differ in these


def describe(recipe: TrainingRecipe, content: Iterable[bytes]) -> dict[str, Any]:
    """What must not change while a training is interrupted: its choices, and a digest of the data it read."""
    choices = {key: value for key, value in recipe.to_json().items() if key not in FREE_TO_CHANGE}
    digest = hashlib.sha256()
    for piece in content:
        digest.update(piece)
    return choices | {CONTENT: digest.hexdigest()}


def refuse_finished(output: Path, manifest: str, *, overwrite: bool) -> None:
    """Raise `OptionError` where the folder holds a finished model that is not to be replaced."""
    if (output / manifest).exists() and not overwrite:
        raise OptionError(f"{output} already holds a finished model; choose another --output or --overwrite it")


def refuse_other_training(output: Path, description: dict[str, Any]) -> None:
    """Raise `OptionError` where the folder holds an unfinished training of something else."""
    memory = _folder(output) / MEMORY
    if not memory.exists():
        return
    before = json.loads(memory.read_text(encoding="utf-8"))
    other = sorted(key for key in before.keys() | description.keys() if before.get(key) != description.get(key))
    if other:
        raise OptionError(
            f"{output} holds an unfinished training with other values of {', '.join(other)}: give the same "
            "ones to resume it, or choose another --output, or remove the folder"
        )


def is_remembered(output: Path) -> bool:
    """Whether the folder holds an unfinished training."""
    return (_folder(output) / MEMORY).exists()


def remember(output: Path, description: dict[str, Any]) -> None:
    """Write down what this training is; where nothing is written yet, checkpoints are of one that is finished."""
    memory = _folder(output) / MEMORY
    if not memory.exists():
        discard_checkpoints(memory.parent)
    write_json(memory, description)


def forget(output: Path) -> None:
    """Remove what only an unfinished training needs; the TensorBoard logs stay."""
    folder = _folder(output)
    (folder / MEMORY).unlink(missing_ok=True)
    discard_checkpoints(folder)
    (folder / BEST).unlink(missing_ok=True)


def _folder(output: Path) -> Path:
    return output / "training"
