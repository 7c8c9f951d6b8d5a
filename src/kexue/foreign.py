"""A model's folder may come from a stranger: what is looked at before anything is made of it.

No link leads out of the folder, no number of a configuration is larger than a model can have, nothing larger is built
than the weights that are to fill it, and what then cannot be made is the folder's fault, said in one line.
"""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from kexue.errors import CheckpointError

INDEX = "model.safetensors.index.json"
LARGEST = 2**31  # of the whole numbers in a configuration
MOST_LABELS = 100_000  # transformers makes a table of so many names
TIMES = 16  # tied weights are made several times and stored once
SPARE = (1000, 10**6)  # tensors and numbers that a model may have beside those stored


@contextmanager
def refusing(folder: Path) -> Iterator[None]:
    """Turn whatever goes wrong in the block into a `CheckpointError` that names the folder."""
    try:
        yield
    except CheckpointError:
        raise
    except Exception as error:  # libraries raise errors of every kind, also bare ones, for a content that is not theirs
        reason = " ".join(str(error).split()) or type(error).__name__
        raise CheckpointError(f"{folder}: cannot be loaded: {reason}; copy the whole folder again") from error


def check_links(folder: Path) -> None:
    """Raise `CheckpointError` for a link that leads out of the folder, but for those of the hub's own cache."""
    for path in folder.rglob("*"):
        if path.is_symlink() and not stays_inside(path, folder):
            raise CheckpointError(f"{path}: is a link that leads out of the folder; put the file itself there")


def stays_inside(path: Path, folder: Path) -> bool:
    """Whether a path of a folder leads to a file in it, or to one that the hub's cache keeps beside it."""
    try:
        home, target = folder.resolve(), path.resolve()
    except (OSError, RuntimeError):  # a link to itself
        return False
    cached = home.parent.name == "snapshots" and target.is_relative_to(home.parent.parent / "blobs")
    return target.is_relative_to(home) or cached


def read_config(path: Path) -> dict[str, Any]:
    """A configuration as plain values.

    Raises `CheckpointError` for one that is missing or damaged, that asks for code of the hub, or whose numbers are
    larger than any model's.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(f"{path.parent}: has no {path.name}; copy the whole folder again") from None
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror}); copy the whole folder again") from None
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: is damaged ({error}); copy the whole folder again") from None
    if not isinstance(values, dict):
        raise CheckpointError(f"{path}: is damaged (it holds no object); copy the whole folder again")
    for key, value in _leaves(values):
        _check(key, value, path)
    return values


def _leaves(values: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Every value that holds no others, and the nearest key above it."""
    waiting: list[tuple[str, Any]] = list(values.items())
    while waiting:
        key, value = waiting.pop()
        if isinstance(value, dict):
            waiting.extend(value.items())
        elif isinstance(value, list):
            waiting.extend((key, item) for item in value)
        else:
            yield key, value


def _check(key: str, value: Any, path: Path) -> None:
    most = MOST_LABELS if key == "num_labels" else LARGEST
    if isinstance(value, int) and abs(value) > most:
        raise CheckpointError(f"{path}: {key!r} is {value!r}, which no model has; take the folder as it was saved")
    if key.endswith("attn_implementation") and "/" in str(value):
        raise CheckpointError(f"{path}: {key!r} asks for code of the hub ({value!r}), which is never loaded; remove it")


def weight_files(folder: Path, name: str = "model.safetensors") -> list[Path]:
    """The file of a folder's weights, or those that its index lists.

    Raises `CheckpointError` where there is none, or where the index leads out of the folder.
    """
    if (folder / name).is_file():
        return [folder / name]
    if not (folder / INDEX).is_file():
        raise CheckpointError(f"{folder}: has no {name}; pickled weights (.bin, .pt) are never loaded")
    shards = read_config(folder / INDEX).get("weight_map")
    if not isinstance(shards, dict) or not all(isinstance(shard, str) for shard in shards.values()):
        raise CheckpointError(f"{folder / INDEX}: is damaged (it has no 'weight_map'); copy the whole folder again")
    for shard in set(shards.values()):
        if Path(shard).name != shard or not (folder / shard).is_file():
            raise CheckpointError(f"{folder / INDEX}: lists {shard!r}, which is no file of this folder")
    return [folder / shard for shard in sorted(set(shards.values()))]


@contextmanager
def filled_by(files: Sequence[Path]) -> Iterator[None]:
    """Stop the making of a network as soon as it is far larger than the weights in these safetensors files.

    Raises `CheckpointError` then, and for a file that is damaged. Within `torch.device("meta")` nothing is allocated.
    """
    shapes = [shape for file in files for shape in _shapes(file)]
    most = [
        TIMES * stored + spare for stored, spare in zip((len(shapes), sum(map(math.prod, shapes))), SPARE, strict=True)
    ]
    made, here = [0, 0], threading.get_ident()

    def count(module: nn.Module, name: str, parameter: nn.Parameter) -> None:
        if threading.get_ident() != here:
            return
        made[0] += 1
        made[1] += 0 if nn.parameter.is_lazy(parameter) else parameter.numel()
        if any(own > allowed for own, allowed in zip(made, most, strict=True)):
            raise CheckpointError(
                f"{files[0]}: holds {len(shapes):,} tensors, and the configuration beside it asks for a far larger "
                "network: they belong to different models"
            )

    hook = register_module_parameter_registration_hook(count)
    try:
        yield
    finally:
        hook.remove()


def _shapes(file: Path) -> list[list[int]]:
    try:
        with safe_open(file, "pt") as weights:
            return [weights.get_slice(name).get_shape() for name in weights.keys()]  # noqa: SIM118  (no mapping)
    except Exception as error:  # the library's own errors, and those of the system
        raise CheckpointError(
            f"{file}: cannot be loaded, it is damaged or no safetensors ({error}); copy the whole folder again"
        ) from None


@torch.no_grad()
def check_numbers(network: nn.Module, file: Path) -> None:
    """Raise `CheckpointError` for weights that are no numbers."""
    for name, weight in network.named_parameters():
        if not torch.isfinite(weight).all():
            raise CheckpointError(
                f"{file}: the weights {name!r} hold NaN or infinity: the training went astray; take an earlier model"
            )
