"""Trainings that differ in their regulariser and seed alone."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from kexue.extraction.formats import read_documents
from kexue.extraction.links import close_gold
from kexue.extraction.metrics.matching import RELATION_MATCHINGS, relation_keys
from kexue.extraction.metrics.outcomes import compare
from kexue.ops.device import choose_device
from kexue.pipelines.extractor import Extractor
from kexue.studies.divergence.sizes import Sizes
from kexue.studies.divergence.variants import VARIANTS
from kexue.studies.outcomes import Key, TrainingOutcome
from kexue.training.extraction.recipe import ExtractionRecipe
from kexue.training.extraction.run import train


@dataclass(frozen=True)
class TrainedOn:
    """A data set: the file of each split, name or folder of the encoder, the seeds of all trainings, their sizes."""

    name: str
    files: Mapping[str, Path]
    encoder: str
    seeds: tuple[int, ...]
    sizes: Sizes


@dataclass(frozen=True)
class Training:
    """One training; `variant` is a name in `VARIANTS`."""

    data: TrainedOn
    variant: str
    seed: int
    device: str | None

    @property
    def key(self) -> Key:
        """What it is known by."""
        return self.data.name, self.variant, self.seed

    def run(self) -> Outcome:
        """Train in a folder that is thrown away, and measure on the test documents."""
        with tempfile.TemporaryDirectory() as folder:
            clock = time.process_time if choose_device(self.device).type == "cpu" else time.monotonic
            began = clock()
            train(self._recipe(Path(folder)), console=Console(quiet=True))
            seconds = clock() - began
            extractor = Extractor.from_pretrained(folder, device=self.device)
        gold = close_gold(read_documents(self.data.files["test"]).documents, extractor.schema)
        found = list(extractor.pipe(document.text for document in gold))
        strict = next(iter(RELATION_MATCHINGS.values()))
        keys = ([relation_keys(document, matching=strict) for document in side] for side in (gold, found))
        counts = compare(*keys).per_document()[:, 0]
        dev = extractor.metrics["dev"]["relations_f1"]
        return Outcome(self.data.name, self.variant, self.seed, dev, seconds, counts.astype(int).tolist())

    def _recipe(self, folder: Path) -> ExtractionRecipe:
        values = {
            "train": self.data.files["train"],
            "dev": self.data.files["dev"],
            "output": folder,
            "encoder": self.data.encoder,
            "epochs": self.data.sizes.epochs,
            "batch_size": self.data.sizes.batch_size,
            "patience": self.data.sizes.epochs,
            "packing": 0.0,  # sentences are tested on, not documents
            "seed": self.seed,
            "device": self.device,
            "regularizer": VARIANTS[self.variant],
        }
        return ExtractionRecipe.from_values(values, source="study")


@dataclass(frozen=True)
class Outcome(TrainingOutcome):
    """Of one training: the best dev F1 of relations, seconds, and (correct, predicted, gold) of each test document.

    The seconds are the processor's where it is trained there, which other work on the machine does not lengthen.
    """

    data: str
    variant: str
    seed: int
    dev_f1: float
    seconds: float
    counts: list[list[int]]

    @property
    def key(self) -> Key:
        """What the training is known by."""
        return self.data, self.variant, self.seed

    def __str__(self) -> str:
        return f"{self.data}, {self.variant}, seed {self.seed}: dev {self.dev_f1:.3f}, {self.seconds:.0f} s"
