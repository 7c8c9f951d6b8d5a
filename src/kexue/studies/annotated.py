"""Annotated text that extractors are compared on: sentences to learn from, to choose on and to test on.

phee      drug safety; part of the package
conll04   news: conll04_train.json, conll04_dev.json, conll04_test.json
webnlg    descriptions of things, 171 relations: train_triples.json, val_triples.json, test_triples.json
duie      Chinese, 49 relations: duie2_train_5000.json and duie2_train_4398.json, a tenth of which is dev, and
          duie2_dev_2000.json to test on

Every set names the encoder for its language; a folder that is given for that name is taken in its place.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from kexue.data import SPLITS, demo_path
from kexue.encoders.loading import quiet_transformers
from kexue.extraction.document import Document
from kexue.extraction.formats import read_documents, write_documents
from kexue.pipelines.extractor import Extractor
from kexue.studies.options import StudyOptions
from kexue.training.extraction.data import hold_out
from kexue.training.extraction.recipe import ExtractionRecipe
from kexue.training.extraction.run import train

ENCODERS = {"minilm": "minilm", "m3e": "moka-ai/m3e-small"}
"""By the name under which a folder can be given for it."""


@dataclass(frozen=True)
class AnnotatedSet:
    """The files of each split in the folder of a set, and the name in `ENCODERS` of what reads its language."""

    files: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    encoder: str = "minilm"


SETS = {
    "phee": AnnotatedSet(),
    "conll04": AnnotatedSet({split: (f"conll04_{split}.json",) for split in SPLITS}),
    "webnlg": AnnotatedSet(
        {"train": ("train_triples.json",), "dev": ("val_triples.json",), "test": ("test_triples.json",)}
    ),
    "duie": AnnotatedSet(
        {"train": ("duie2_train_5000.json", "duie2_train_4398.json"), "test": ("duie2_dev_2000.json",)}, "m3e"
    ),
}
DATA = (*(name for name, own in SETS.items() if own.files), *ENCODERS)
"""What folders can be given for."""


def given(options: StudyOptions) -> list[str]:
    """The sets whose folders were given; phee where there are none."""
    return [name for name in options.data if name in SETS] or ["phee"]


def encoder(name: str, options: StudyOptions) -> str:
    """Name or folder of the encoder for a set."""
    of_language = SETS[name].encoder
    return str(options.data.get(of_language, ENCODERS[of_language]))


def read(name: str, options: StudyOptions, most: int | None = None) -> dict[str, list[Document]]:
    """The sentences of each split, at most so many; raises `DataError` for a file that is wrong or not there."""
    if not SETS[name].files:
        splits = {split: read_documents(demo_path(name, split)).documents for split in SPLITS}
    else:
        folder = options.data[name]
        splits = {
            split: [document for file in files for document in read_documents(folder / file).documents]
            for split, files in SETS[name].files.items()
        }
    if "dev" not in splits:
        splits["train"], splits["dev"] = hold_out(splits["train"], 0)
    return {split: splits[split][:most] for split in SPLITS}


@contextmanager
def trained(recipe: ExtractionRecipe) -> Iterator[Extractor]:
    """The model of a recipe, trained without a word; its folder goes when the block ends."""
    with quiet_transformers():
        train(recipe, console=Console(quiet=True), overwrite=True)
        yield Extractor.from_pretrained(recipe.output, device=recipe.device)
    shutil.rmtree(recipe.output)


def write(splits: Mapping[str, Sequence[Document]], folder: Path, name: str) -> dict[str, Path]:
    """The sentences in the native format, a file for each split."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {split: folder / f"{name}-{split}.jsonl" for split in splits}
    for split, path in files.items():
        write_documents(splits[split], path, "native")
    return files
