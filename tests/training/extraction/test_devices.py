"""A training on every device: in bfloat16 it learns, and killed it goes on as if it had not been."""

from __future__ import annotations

from pathlib import Path

import pytest
from rich.console import Console

from kexue.pipelines.extractor import Extractor
from kexue.training.extraction.run import train
from tests.training import killed
from tests.training.tiny import read_json, sentences, tiny_recipe

QUIET = Console(quiet=True)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_model_trained_on_any_device_works_on_the_cpu(device, precision, encoder, data, tmp_path: Path):
    recipe = tiny_recipe(encoder, data, tmp_path / "model", device=device, precision=precision, epochs=3, packing=0.5)
    folder = train(recipe, console=QUIET)
    assert read_json(folder / "kexue.json")["metrics"]["steps"] > 6
    texts = [item.text for item in sentences(4)]
    here, there = (Extractor.from_pretrained(folder, device=name).extract(texts) for name in ("cpu", device))
    assert [item.relations for item in here] == [item.relations for item in there]


@pytest.mark.gpu
def test_a_training_killed_on_a_gpu_resumes_with_the_same_losses(cuda, encoder, data, tmp_path: Path):
    """To rounding only: sums of gradients are atomic there, so their order is free."""
    values = {"encoder": str(encoder), "head_dim": 16, "precision": "float32", "device": cuda, "save_steps": 3}
    values |= data | {"epochs": 2, "batch_size": 4, "packing": 0.1}
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert killed.run(values | {"output": whole}) == 0
    assert killed.run(values | {"output": broken}, ("take in a step", 8)) != 0
    assert killed.run(values | {"output": broken}) == 0
    ours, theirs = (
        [entry["loss"] for entry in read_json(Path(f"{output}.log.json")) if "loss" in entry]
        for output in (broken, whole)
    )
    assert ours == pytest.approx(theirs, rel=1e-3)
