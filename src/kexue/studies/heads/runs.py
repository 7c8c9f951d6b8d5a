"""Trainings of every contender with every seed, and what each finds in the test sentences.

Every outcome is a line of a file as soon as it is there: a study that was stopped goes on where it was, also on another
machine. Several trainings may share a device; what they cost is measured elsewhere.
"""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch import Tensor, nn

from kexue.encoders.loading import quiet_transformers
from kexue.extraction.decision import Decision
from kexue.extraction.document import Document
from kexue.extraction.heads.gplinker import GPLinker
from kexue.extraction.links import close_gold
from kexue.extraction.metrics import evaluate
from kexue.layers.token_pair_scores import LinkScores
from kexue.pipelines.extractor import Extractor
from kexue.studies.heads.contenders import Contender
from kexue.studies.heads.data import Sentences
from kexue.studies.machine import describe_machine
from kexue.training.extraction.recipe import ExtractionRecipe
from kexue.training.extraction.run import train

SURE = 100.0
"""A score that is never the weakest."""


@dataclass(frozen=True)
class Outcome:
    """Of one training: F1 on the test sentences by measure, with the interval of the first, the seconds, and where."""

    kind: str
    contender: str
    seed: int
    f1: Mapping[str, float]
    interval: tuple[float, float]
    seconds: float
    steps: int
    machine: str


@dataclass(frozen=True)
class Run:
    """One training to be made. `kind` is the kind of fact that counts: relations or entities."""

    kind: str
    contender: Contender
    seed: int
    sentences: Sentences
    recipe: Mapping[str, Any] = field(default_factory=dict)
    bootstrap: int = 1000

    @property
    def key(self) -> tuple[str, str, int]:
        return self.kind, self.contender.name, self.seed


def make_all(runs: Iterable[Run], path: Path, workers: int, say: Callable[[str], None]) -> Iterator[list[Outcome]]:
    """The outcomes so far, first those that the file holds already, then again after every run that was not there."""
    wanted = {run.key: run for run in runs}
    done = {(outcome.kind, outcome.contender, outcome.seed): outcome for outcome in read(path)}
    yield [done[key] for key in wanted if key in done]
    for outcome in _made([run for key, run in wanted.items() if key not in done], path.parent, workers):
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(outcome)) + "\n")
        done[outcome.kind, outcome.contender, outcome.seed] = outcome
        first = next(iter(outcome.f1.values()))
        say(f"    {outcome.contender}, seed {outcome.seed}: {100 * first:.1f} in {outcome.seconds:.0f} s")
        yield [done[key] for key in wanted if key in done]


def read(path: Path) -> Iterator[Outcome]:
    """The outcomes of a file, if there is one."""
    for line in path.read_text("utf-8").splitlines() if path.exists() else []:
        record = json.loads(line)
        yield Outcome(**(record | {"interval": tuple(record["interval"])}))


def _made(runs: list[Run], folder: Path, workers: int) -> Iterator[Outcome]:
    make = partial(train_and_test, folder=folder)
    if workers < 2:
        yield from map(make, runs)
        return
    with ProcessPoolExecutor(min(workers, max(1, len(runs))), mp_context=get_context("spawn")) as pool:
        for future in as_completed([pool.submit(make, run) for run in runs]):
            yield future.result()


def train_and_test(run: Run, *, folder: Path) -> Outcome:
    """One training, its model on the test sentences; the model is removed."""
    torch.set_num_threads(1 if run.recipe.get("device") == "cuda" else torch.get_num_threads())
    output = folder / "models" / "-".join(map(str, run.key)).replace(" ", "_")
    files = run.sentences.files[run.contender.view]
    recipe = ExtractionRecipe.from_values(
        {"train": files["train"], "dev": files["dev"], "output": output, "seed": run.seed}
        | dict(run.recipe)
        | dict(run.contender.recipe),
        source="study",
    )
    with quiet_transformers():
        train(recipe, console=Console(quiet=True), overwrite=True)
        extractor = Extractor.from_pretrained(output, device=recipe.device)
        gold = run.sentences.gold(run.contender.view)
        measured = _measure(extractor, gold, run)
    shutil.rmtree(output)
    return measured


def _measure(extractor: Extractor, gold: list[Document], run: Run) -> Outcome:
    gold = close_gold(gold, extractor.schema)
    evaluation = evaluate(gold, extractor.extract(gold), bootstrap_samples=run.bootstrap)
    part = evaluation.relations if run.kind == "relations" else evaluation.entities
    f1 = {"strict": part.headline.counts.f1, "boundaries": part.matchings["boundaries"].counts.f1}
    f1 |= {"entities": evaluation.entities.headline.counts.f1}
    if isinstance(extractor.model.head, GPLinker):
        f1 |= {
            name: evaluate(gold, by_rule(model).extract(gold), bootstrap_samples=0).relations.headline.counts.f1
            for name, model in (("starts and ends", extractor), ("starts only", without_ends(extractor)))
            if run.kind == "relations"
        }
    interval = part.headline.interval or (0.0, 0.0)
    seconds, steps = extractor.metrics["training_seconds"], extractor.metrics["steps"]
    return Outcome(
        run.kind, run.contender.name, run.seed, f1, interval, seconds, steps, describe_machine(run.recipe["device"])
    )


def by_rule(extractor: Extractor) -> Extractor:
    """The same model, which finds what has all scores above 0, whatever thresholds dev chose."""
    other = copy.copy(extractor)
    other.decision = Decision()
    return other


def without_ends(extractor: Extractor) -> Extractor:
    """The same model, which joins two spans where their starts are joined."""
    other = copy.copy(extractor)
    other.model = copy.copy(extractor.model)
    head = copy.copy(extractor.model.head)
    head._modules = head._modules | {"ends": _Everywhere(head.ends.num_labels)}
    other.model._modules = other.model._modules | {"head": head}
    return other


class _Everywhere(nn.Module):
    """A scorer that says yes to every pair."""

    def __init__(self, num_labels: int) -> None:
        super().__init__()
        self.num_labels = num_labels

    def forward(self, hidden: Tensor) -> LinkScores:
        return _Yes(self.num_labels, hidden)


@dataclass(frozen=True, eq=False)
class _Yes(LinkScores):
    labels: int
    like: Tensor

    @property
    def num_labels(self) -> int:
        return self.labels

    def at(self, batch: int, starts: Tensor, ends: Tensor) -> Tensor:
        return self.like.new_full((self.labels, len(starts), len(ends)), SURE)

    def pairs(self, batch: Tensor, starts: Tensor, ends: Tensor) -> Tensor:
        return self.like.new_full((len(starts), self.labels), SURE)
