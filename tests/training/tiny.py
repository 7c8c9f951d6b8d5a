"""A tiny encoder on real sentences: trainings of a second, on which all the machinery around them is tested."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from kexue.data import demo_path
from kexue.encoders.gau import GAUConfig, GAUModel
from kexue.encoders.vocabulary import train_tokenizer
from kexue.extraction.document import Document
from kexue.extraction.formats import read_documents, write_documents
from kexue.training.extraction.recipe import ExtractionRecipe
from kexue.training.extraction.run import train

ROOT = Path(__file__).resolve().parents[2]


@cache
def sentences(count: int, split: str = "train") -> list[Document]:
    """The first sentences of PHEE with a relation, short ones."""
    documents = read_documents(demo_path("phee", split)).documents
    return list(islice((item for item in documents if item.relations and len(item.text) < 120), count))


def save_encoder(folder: Path, *, dropout: float = 0.1) -> Path:
    """A GAU encoder of 2 layers x 32 and a vocabulary learnt from the sentences."""
    tokenizer = train_tokenizer([item.text for item in sentences(200)], vocab_size=600)
    config = GAUConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        key_dim=16,
        hidden_dropout=dropout,
        attention_dropout=dropout,
        pad_token_id=tokenizer.pad_token_id,
    )
    torch.manual_seed(0)
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


def tiny_recipe(encoder: Path, data: dict[str, Path], output: Path, **changes: Any) -> ExtractionRecipe:
    """Two epochs of six steps."""
    values = {
        "encoder": str(encoder),
        "output": output,
        "epochs": 2,
        "batch_size": 4,
        "packing": 0.0,
        "head_dim": 16,
        "encoder_lr": 1e-3,
        "head_lr": 3e-3,
        "precision": "float32",
        "device": "cpu",
    }
    return ExtractionRecipe.from_values(values | data | changes)


def run_module(*arguments: str, processes: int = 1) -> subprocess.CompletedProcess[str]:
    """Run a module in a process of its own, or under torchrun in several."""
    launcher = [] if processes == 1 else f"torch.distributed.run --standalone --nproc_per_node {processes} -m".split()
    return subprocess.run(
        [sys.executable, "-m", *launcher, *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        check=False,
    )


def read_json(path: Path) -> Any:
    """A JSON file."""
    return json.loads(path.read_text("utf-8"))


def fit(folder: Path, count: int = 10) -> Path:
    """A model that knows the first sentences by heart, through windows much shorter than they are."""
    encoder = save_encoder(folder / "encoder", dropout=0.0)
    write_documents(sentences(count), folder / "gold.jsonl")
    recipe = tiny_recipe(
        encoder,
        {"train": folder / "gold.jsonl", "dev": folder / "gold.jsonl"},
        folder / "model",
        epochs=60,
        hidden_dropout=0.0,
        head_lr=1e-2,
        encoder_lr=5e-3,
        window=12,
        overlap=4,
        patience=60,
    )
    return train(recipe, console=Console(quiet=True))
