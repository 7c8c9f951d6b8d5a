"""Trainings that differ in their regulariser and seed alone, one after the other or several at a time."""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path

import torch
from rich.console import Console

from kexue.extraction.formats import read_documents
from kexue.extraction.links import close_gold
from kexue.extraction.metrics.matching import RELATION_MATCHINGS, relation_keys
from kexue.extraction.metrics.outcomes import compare
from kexue.ops.device import choose_device
from kexue.pipelines.extractor import Extractor
from kexue.studies.divergence.data import Parts
from kexue.studies.divergence.sizes import Sizes
from kexue.studies.divergence.variants import VARIANTS
from kexue.training.extraction.recipe import ExtractionRecipe
from kexue.training.extraction.run import train


@dataclass(frozen=True)
class Training:
    """One training; `variant` is a name in `VARIANTS`."""

    data: str
    parts: Parts
    variant: str
    seed: int
    sizes: Sizes
    device: str | None

    @property
    def key(self) -> tuple[str, str, int]:
        """What it is known by."""
        return self.data, self.variant, self.seed

    def run(self) -> Outcome:
        """Train in a folder that is thrown away, and measure on the test documents."""
        with tempfile.TemporaryDirectory() as folder:
            clock = time.process_time if choose_device(self.device).type == "cpu" else time.monotonic
            began = clock()
            train(self._recipe(Path(folder)), console=Console(quiet=True))
            seconds = clock() - began
            extractor = Extractor.from_pretrained(folder, device=self.device)
        gold = close_gold(read_documents(self.parts.test).documents, extractor.schema)
        found = list(extractor.pipe(document.text for document in gold))
        strict = next(iter(RELATION_MATCHINGS.values()))
        keys = ([relation_keys(document, matching=strict) for document in side] for side in (gold, found))
        counts = compare(*keys).per_document()[:, 0]
        return Outcome(*self.key, extractor.metrics["dev"]["relations_f1"], seconds, counts.astype(int).tolist())

    def _recipe(self, folder: Path) -> ExtractionRecipe:
        values = {
            "train": self.parts.train,
            "dev": self.parts.dev,
            "output": folder,
            "encoder": self.sizes.encoder,
            "epochs": self.sizes.epochs,
            "patience": self.sizes.epochs,
            "packing": 0.0,  # sentences are tested on, not documents
            "seed": self.seed,
            "device": self.device,
            "regularizer": VARIANTS[self.variant],
        }
        return ExtractionRecipe.from_values(values, source="study")


@dataclass(frozen=True)
class Outcome:
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
    def key(self) -> tuple[str, str, int]:
        """What the training is known by."""
        return self.data, self.variant, self.seed


def run_all(
    trainings: Sequence[Training], records: Path, workers: int, say: Callable[[str], None]
) -> dict[tuple[str, str, int], Outcome]:
    """The outcome of each; those that `records` holds are not run again, the others are added to it."""
    known = {outcome.key: outcome for outcome in _recorded(records)}
    missing = [training for training in trainings if training.key not in known]
    for outcome in _run(missing, workers):
        known[outcome.key] = outcome
        say(
            f"{outcome.data}, {outcome.variant}, seed {outcome.seed}: dev {outcome.dev_f1:.3f}, {outcome.seconds:.0f} s"
        )
        with records.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(outcome)) + "\n")
    return {training.key: known[training.key] for training in trainings}


def _recorded(records: Path) -> list[Outcome]:
    records.parent.mkdir(parents=True, exist_ok=True)
    lines = records.read_text("utf-8").splitlines() if records.exists() else []
    return [Outcome(**json.loads(line)) for line in lines]


def _run(trainings: Sequence[Training], workers: int) -> Iterator[Outcome]:
    """As they are finished; in this process where there is but one worker."""
    if workers == 1:
        yield from (training.run() for training in trainings)
        return
    with ProcessPoolExecutor(workers, get_context("spawn"), _begin) as pool:
        for future in as_completed([pool.submit(training.run) for training in trainings]):
            yield future.result()


def _begin() -> None:
    """A worker has one thread, or all of them would wait for each other."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    torch.set_num_threads(1)
