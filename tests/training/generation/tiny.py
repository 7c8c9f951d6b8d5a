"""A tiny network on the digits: trainings of a second, on which all the machinery around them is tested."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from kexue.diffusion.denoisers.gau import GAUDenoiser, Sizes
from kexue.diffusion.images import read_images, write_npz
from kexue.training.generation.recipe import GenerationRecipe

SIZES = Sizes(1, 8, 8, patch=2, dim=16, num_layers=1, key_dim=8)


class TinyGAU(GAUDenoiser):
    """Of 1 layer x 16."""

    @classmethod
    def preset(cls, name: str, shape: Any, num_classes: int = 0, dropout: float = 0.0) -> TinyGAU:
        """Whatever the name."""
        network = cls(replace(SIZES, num_classes=num_classes, dropout=dropout))
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.add_(torch.randn_like(parameter) * 0.1)  # so that nothing begins at zero
        return network


def save_digits(folder: Path, count: int = 50) -> Path:
    """An npz file with the first digits and their classes."""
    digits = read_images("digits").select(range(count))
    write_npz(folder / "digits.npz", digits.pixels, labels=digits.labels, label_names=digits.label_names, max_value=16)
    return folder / "digits.npz"


def values(train: Path | str, output: Path, **changes: Any) -> dict[str, Any]:
    """Two and a half epochs of five steps."""
    return {
        "train": str(train),
        "output": str(output),
        "network": "gau",
        "preset": "tiny",
        "dropout": 0.1,
        "epochs": 2.5,
        "batch_size": 9,
        "learning_rate": 1e-2,
        "ema": 0.9,
        "num_samples": 4,
        "num_steps": 2,
        "precision": "float32",
        "device": "cpu",
        "save_steps": 3,
    } | changes


def recipe(train: Path | str, output: Path, **changes: Any) -> GenerationRecipe:
    """As a recipe."""
    return GenerationRecipe.from_values(values(train, output, **changes))
