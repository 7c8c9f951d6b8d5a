"""Trainings of every contender with every seed, and what each finds in the test sentences.

Several may share a device; what they cost is measured elsewhere.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from kexue.extraction.decision import Decision
from kexue.extraction.document import Document
from kexue.extraction.heads.gplinker import GPLinker
from kexue.extraction.links import close_gold
from kexue.extraction.metrics import evaluate
from kexue.layers.token_pair_scores import LinkScores
from kexue.pipelines.extractor import Extractor
from kexue.studies import annotated
from kexue.studies.heads.contenders import Contender
from kexue.studies.heads.data import Sentences
from kexue.studies.machine import describe_machine
from kexue.studies.outcomes import Key, TrainingOutcome
from kexue.training.extraction.recipe import ExtractionRecipe

SURE = 100.0
"""A score that is never the weakest."""


@dataclass(frozen=True)
class Outcome(TrainingOutcome):
    """Of one training: F1 on the test sentences by measure, with the interval of the first, the seconds, and where."""

    data: str
    kind: str
    contender: str
    seed: int
    f1: dict[str, float]
    interval: list[float]
    seconds: float
    steps: int
    machine: str

    @property
    def key(self) -> Key:
        """What the training is known by."""
        return self.data, self.kind, self.contender, self.seed

    def __str__(self) -> str:
        first = next(iter(self.f1.values()))
        return f"{self.data}, {self.contender}, seed {self.seed}: {100 * first:.1f} in {self.seconds:.0f} s"


@dataclass(frozen=True)
class Run:
    """One training to be made, in a folder of `models`; what counts is of this `kind`: relations or entities."""

    kind: str
    contender: Contender
    seed: int
    sentences: Sentences
    models: Path
    recipe: Mapping[str, Any] = field(default_factory=dict)
    bootstrap: int = 1000

    @property
    def key(self) -> Key:
        """What it is known by."""
        return self.sentences.name, self.kind, self.contender.name, self.seed

    def run(self) -> Outcome:
        """Train, and measure the model on the test sentences; the model is removed."""
        output = self.models / "-".join(map(str, self.key)).replace(" ", "_")
        files = self.sentences.files[self.contender.view]
        recipe = ExtractionRecipe.from_values(
            {"train": files["train"], "dev": files["dev"], "output": output, "seed": self.seed}
            | dict(self.recipe)
            | dict(self.contender.recipe),
            source="study",
        )
        with annotated.trained(recipe) as extractor:
            return _measure(extractor, self.sentences.gold(self.contender.view), self)


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
    interval = list(part.headline.interval or (0.0, 0.0))
    seconds, steps = extractor.metrics["training_seconds"], extractor.metrics["steps"]
    machine = describe_machine(run.recipe["device"])
    data, kind, name = run.sentences.name, run.kind, run.contender.name
    return Outcome(data, kind, name, run.seed, f1, interval, seconds, steps, machine)


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
