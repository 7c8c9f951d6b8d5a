"""Two processes, under torchrun too, train as one does, and only the first one writes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file
from torch.testing import assert_close

from kexue.extraction.formats import write_documents
from kexue.manifest import MANIFEST
from tests.training import killed
from tests.training.tiny import read_json, run_module, save_data, sentences

OPTIONS = {
    "epochs": 2,
    "batch_size": 4,
    "gradient_accumulation": 2,
    "hidden_dropout": 0,
    "packing": 0,  # so that the batches are whole
    "head_dim": 16,
    "precision": "float32",
    "device": "cpu",
    "max_grad_norm": 1e6,
    "save_steps": 2,
}


def command(encoder: Path, data: dict[str, Path], output: Path, **changes: Any) -> list[str]:
    options = [f"--set={key}={value}" for key, value in (OPTIONS | changes).items()]
    files = [str(data["train"]), "--dev", str(data["dev"]), "--output", str(output), "--encoder", str(encoder)]
    return ["kexue", "train", *files, *options]


@pytest.mark.slow
def test_two_processes_train_as_one(plain_encoder: Path, tmp_path: Path):
    data = save_data(tmp_path, train=24)  # whole batches: a short one is filled up when it is divided
    for processes in (1, 2):
        run = run_module(*command(plain_encoder, data, tmp_path / str(processes)), processes=processes)
        assert run.returncode == 0, run.stderr
        assert run.stdout.splitlines() == [str(tmp_path / str(processes))]
        assert len(re.findall(r"^epoch \d/2", run.stderr, re.MULTILINE)) == 2
        assert len(list((tmp_path / str(processes)).rglob("events.out.*"))) == 1
    one, two = (load_file(tmp_path / str(processes) / "model.safetensors") for processes in (1, 2))
    assert_close(two, one, rtol=1e-3, atol=1e-5)
    one, two = (read_json(tmp_path / str(processes) / MANIFEST)["metrics"] for processes in (1, 2))
    assert two["steps"] == one["steps"] == 6
    assert two["dev"] == pytest.approx(one["dev"], abs=0.02)


@pytest.mark.slow
def test_two_processes_learn_entities_alone_and_stop_together(plain_encoder: Path, tmp_path: Path):
    documents = [type(item)(item.text, item.entities) for item in sentences(26)]
    data = {name: tmp_path / f"{name}.jsonl" for name in ("train", "dev")}
    write_documents(documents[:21], data["train"])
    write_documents(documents[21:], data["dev"])
    changes = {"patience": 1, "epochs": 30, "encoder_lr": 0.01, "ema": 0}
    given = {"encoder": str(plain_encoder), "output": tmp_path / "model"}
    assert killed.run(given | data | OPTIONS | changes, processes=2) == 0
    manifest = read_json(tmp_path / "model" / MANIFEST)
    assert manifest["metrics"]["steps"] < 90
    assert manifest["metrics"]["dev"]["entities_f1"] > 0
