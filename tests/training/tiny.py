"""A tiny encoder on real sentences: trainings of a second, on which all the machinery around them is tested."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

from kexue.data import demo_path
from kexue.encoders.gau import GAUConfig, GAUModel
from kexue.encoders.vocabulary import train_tokenizer
from kexue.extraction.document import Document
from kexue.extraction.formats import read_documents, write_documents
from kexue.training.recipe import Recipe, make_recipe

ROOT = Path(__file__).resolve().parents[2]


@cache
def sentences(count: int, split: str = "train") -> list[Document]:
    """The first sentences of PHEE with a relation, short ones."""
    documents = read_documents(demo_path("phee", split)).documents
    return list(islice((item for item in documents if item.relations and len(item.text) < 120), count))


def save_encoder(folder: Path) -> Path:
    """A GAU encoder of 2 layers x 32 and a vocabulary learnt from the sentences."""
    tokenizer = train_tokenizer([item.text for item in sentences(200)], vocab_size=600)
    config = GAUConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        key_dim=16,
        pad_token_id=tokenizer.pad_token_id,
    )
    GAUModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def save_data(folder: Path, *, train: int = 21, dev: int = 6) -> dict[str, Path]:
    """Files of train and dev; the last batch of train is a short one."""
    documents = sentences(train + dev)
    paths = {"train": folder / "train.jsonl", "dev": folder / "dev.jsonl"}
    write_documents(documents[:train], paths["train"])
    write_documents(documents[train:], paths["dev"])
    return paths


def tiny_recipe(encoder: Path, data: dict[str, Path], output: Path, **changes: Any) -> Recipe:
    """Two epochs of six steps."""
    values = {
        "encoder": str(encoder),
        "output": output,
        "epochs": 2,
        "batch_size": 4,
        "head_dim": 16,
        "encoder_lr": 1e-3,
        "head_lr": 3e-3,
        "precision": "float32",
        "device": "cpu",
    }
    return make_recipe(values | data | changes)


def run_python(code: str, *arguments: str, processes: int = 1, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a program in a process of its own, or under torchrun in several."""
    launcher = (
        [sys.executable]
        if processes == 1
        else [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]
    )
    return subprocess.run(
        [*launcher, code, *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)} | environment,
        check=False,
    )


def losses(state: dict[str, Any]) -> list[dict[str, float]]:
    """What a training logged about its steps and dev (without the summary of its running time)."""
    return [entry for entry in state["log_history"] if "train_runtime" not in entry]


def read_json(path: Path) -> Any:
    """A JSON file."""
    return json.loads(path.read_text("utf-8"))


def surfaces(documents: Sequence[Document]) -> list[list[tuple[str, str, str]]]:
    """The relations of documents as strings."""
    return [
        [(fact.subject.surface(item.text), fact.predicate, fact.object.surface(item.text)) for fact in item.relations]
        for item in documents
    ]
