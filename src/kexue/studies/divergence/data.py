"""The annotated text: files to learn from, to choose the epoch on, and to test on.

conll04   a folder with conll04_train.json, conll04_dev.json, conll04_test.json
phee      part of the package
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from kexue.data import demo_path
from kexue.extraction.formats import read_documents, write_documents

PARTS = ("train", "dev", "test")
FOLDERS = {"conll04": "conll04_{part}.json"}
"""The data sets that a user has to bring, and how their files are named."""
FEW = 12  # sentences of a quick run


@dataclass(frozen=True)
class Parts:
    """The three files."""

    train: Path
    dev: Path
    test: Path


def brought(name: str, folder: Path) -> Parts:
    """The files of a folder."""
    return Parts(*(folder / FOLDERS[name].format(part=part) for part in PARTS))


def from_package(folder: Path, *, quick: bool) -> Parts:
    """PHEE; the first sentences of it, written to the folder, for a quick run."""
    paths = [demo_path("phee", part) for part in PARTS]
    if not quick:
        return Parts(*paths)
    few = [folder / f"few-{part}.jsonl" for part in PARTS]
    folder.mkdir(parents=True, exist_ok=True)
    for source, target in zip(paths, few, strict=True):
        write_documents(list(islice(read_documents(source).documents, FEW)), target)
    return Parts(*few)
