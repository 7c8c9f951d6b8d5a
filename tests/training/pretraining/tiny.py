"""A tiny encoder on real sentences of both languages: pre-trainings of a second."""

from __future__ import annotations

import json
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

from kexue.data import demo_path
from kexue.extraction.formats import read_documents
from kexue.training.pretraining.recipe import PretrainingRecipe

SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "key_dim": 16}
"""In place of those of gau-tiny."""


@cache
def english(count: int) -> list[str]:
    """The first sentences of PHEE."""
    return [item.text for item in islice(read_documents(demo_path("phee", "train")).documents, count)]


@cache
def chinese(count: int) -> list[str]:
    """The first texts of CNShipNet."""
    return [item.text for item in islice(read_documents(demo_path("cnshipnet", "train")).documents, count)]


def save_texts(folder: Path, texts: list[str], name: str = "texts.jsonl") -> Path:
    """A file of JSON Lines."""
    path = folder / name
    path.write_text("".join(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in texts), "utf-8")
    return path


def values(texts: Path | list[Path], output: Path, **changes: Any) -> dict[str, Any]:
    """Two and a half epochs of some steps."""
    return {
        "texts": [str(path) for path in ([texts] if isinstance(texts, Path) else texts)],
        "output": str(output),
        "encoder": "gau-tiny",
        "vocab_size": 500,
        "segmenter": "ngrams",
        "max_length": 64,
        "min_length": 16,
        "epochs": 2.5,
        "batch_size": 8,
        "learning_rate": 5e-3,
        "precision": "float32",
        "device": "cpu",
        "save_steps": 3,
        "eval_steps": 4,
    } | changes


def recipe(texts: Path | list[Path], output: Path, **changes: Any) -> PretrainingRecipe:
    """As a recipe."""
    return PretrainingRecipe.from_values(values(texts, output, **changes))
