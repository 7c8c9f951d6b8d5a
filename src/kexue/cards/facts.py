"""What a model folder says of itself, read without loading the model."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from kexue.cards.evaluations import read_evaluations
from kexue.errors import CheckpointError
from kexue.manifest import MANIFEST

KINDS = ("extractor", "generator", "pre-trained encoder")
BUNDLED = {"minilm": "sentence-transformers/all-MiniLM-L6-v2"}
"""Where the encoders of packages come from."""


@dataclass(frozen=True)
class Facts:
    """All that a card is written from.

    Attributes:
        name: of the folder.
        content: the manifest.
        config: of the network.
        parameters: numbers in its weights.
        evaluations: what `kexue evaluate` measured.
    """

    name: str
    content: dict[str, Any]
    config: dict[str, Any]
    parameters: int
    evaluations: list[dict[str, Any]]

    @property
    def kind(self) -> str:
        """One of `KINDS`; folders of the first versions do not say that they are extractors."""
        return str(self.content.get("kind", KINDS[0]))

    @property
    def recipe(self) -> dict[str, Any]:
        """The choices of the training."""
        return dict(self.content.get("recipe") or {})

    @property
    def metrics(self) -> dict[str, Any]:
        """What was measured at the training."""
        return dict(self.content.get("metrics") or {})

    @property
    def provenance(self) -> dict[str, Any]:
        """What the model was made of; empty for folders of versions that did not write it down."""
        return dict(self.content.get("provenance") or {})

    def used_for(self, entry: dict[str, Any]) -> list[str]:
        """What a file, by its digest, was read for when the model was made; its own role where it was not."""
        made_of = self.provenance.get("data", ())
        roles = {used["role"] for used in made_of if used.get("sha256") and used["sha256"] == entry.get("sha256")}
        return sorted(roles, reverse=True) or [str(entry["role"])]

    @property
    def dev_report(self) -> dict[str, Any]:
        """What was measured on dev at the training; of extractors by kind of fact, as `Evaluation.summary` says it."""
        return dev_report(self.metrics)

    @property
    def base_model(self) -> str | None:
        """The id on the hub of the encoder that was trained further, where it has one."""
        name = str(self.recipe.get("encoder", ""))
        if name in BUNDLED:
            return BUNDLED[name]
        parts = name.split("/")
        is_id = len(parts) == 2 and all(part and not part.startswith((".", "~")) for part in parts)
        return name if is_id and not Path(name).exists() else None


def dev_report(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Of a model's metrics what was measured on dev: with the thresholds that the model has, where it says "documents".

    Folders of the first versions have the scores of every fact above 0 alone, which come in the same shape.
    """
    dev = dict(metrics.get("dev_report") or metrics.get("dev") or {})
    flat = {name.removesuffix("_f1") for name in dev if name.endswith("_f1")}
    keys = ("precision", "recall", "f1")
    nested = {part: {key: dev.pop(f"{part}_{key}") for key in keys if f"{part}_{key}" in dev} for part in flat}
    return dev | nested


def read_facts(folder: str | Path) -> Facts:
    """The facts of a folder; raises `CheckpointError` where it has no manifest, or is damaged."""
    folder = Path(folder)
    if not (folder / MANIFEST).is_file():
        raise CheckpointError(f"{folder}: has no {MANIFEST}, so there is nothing to describe")
    try:
        content = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        config = _config(folder)
        files = sorted(folder / name for name in content["files"] if name.endswith(".safetensors"))
        parameters = sum(_numbers(path) for path in files)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, struct.error) as error:
        raise CheckpointError(f"{folder}: is damaged ({type(error).__name__}: {error})") from None
    return Facts(folder.resolve().name, content, config, parameters, read_evaluations(folder))


def kind_of(folder: Path) -> str:
    """What a folder says that it holds; nothing where it does not say."""
    try:
        return str(json.loads((folder / MANIFEST).read_text(encoding="utf-8")).get("kind", ""))
    except (OSError, ValueError, AttributeError):
        return ""


def _config(folder: Path) -> dict[str, Any]:
    for name in ("config.json", "unet/config.json", "network/config.json"):
        if (folder / name).is_file():
            return dict(json.loads((folder / name).read_text(encoding="utf-8")))
    return {}


def _numbers(path: Path) -> int:
    """How many numbers a safetensors file holds, by its header."""
    with path.open("rb") as file:
        (size,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(size))
    return sum(prod(entry["shape"]) for name, entry in header.items() if name != "__metadata__")
