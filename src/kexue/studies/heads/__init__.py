"""Which head? Every head on one encoder, one split, one trainer: F1, time, memory, parameters.

Writes heads.md, and beside it runs.jsonl and the costs on each data set with every number. What is compared is in
`contenders`; how, in `runs` and `costs`; the `report` puts it into words.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from kexue.files import write_json
from kexue.ops.device import choose_device
from kexue.studies import annotated
from kexue.studies.heads import report
from kexue.studies.heads.contenders import ENTITIES, MAIN_RELATIONS, RELATIONS, Contender
from kexue.studies.heads.costs import Cost, measure_all
from kexue.studies.heads.data import Sentences, prepare
from kexue.studies.heads.runs import Outcome, Run
from kexue.studies.options import StudyOptions
from kexue.studies.outcomes import outcomes_of


@dataclass(frozen=True)
class Sizes:
    """Seeds, contenders, sentences of each split at most, the recipe of all, texts and rounds of the costs."""

    num_seeds: int
    contenders: Mapping[str, tuple[Contender, ...]]
    most: int | None
    recipe: Mapping[str, Any]
    num_texts: int
    teaching: int
    rounds: int


FULL = Sizes(
    num_seeds=3,
    contenders={"relations": RELATIONS, "entities": ENTITIES},
    most=None,
    recipe={"epochs": 20, "batch_size": 32, "packing": 0.0, "patience": 6},
    num_texts=32,
    teaching=200,
    rounds=10,
)
LARGE = {
    name: replace(
        FULL,
        num_seeds=1,
        contenders={"relations": MAIN_RELATIONS},
        recipe={**FULL.recipe, "epochs": epochs},
        num_texts=8,
        teaching=100,
        rounds=3,
    )
    for name, epochs in (("webnlg", 12), ("duie", 8))
}
"""Sets of several thousand sentences."""
QUICK = Sizes(
    num_seeds=1,
    contenders={"relations": (*RELATIONS[::3], RELATIONS[5]), "entities": ENTITIES[::5]},
    most=24,
    recipe={"encoder": "gau-tiny", "epochs": 1, "batch_size": 8, "packing": 0.0},
    num_texts=4,
    teaching=3,
    rounds=1,
)


def run(options: StudyOptions) -> Path:
    """Measure, write the page anew after every training, and return its path; a stopped study goes on where it was.

    Raises for a data set that is not known or not there.
    """
    options.check_data(annotated.DATA)
    began = time.monotonic()
    options.output.mkdir(parents=True, exist_ok=True)
    sets = [_of(name, options) for name in annotated.given(options)]
    options.say("costs")
    costs = {own.sentences.name: _costs(options, own) for own in sets}
    options.say("trainings")
    path = options.output / "heads.md"
    runs = [run for own in sets for run in _runs(options, own)]
    for outcomes in outcomes_of(runs, Outcome, options.output / "runs.jsonl", options):
        recipes = {own.sentences.name: own.recipe for own in sets}
        report.write(list(outcomes.values()), costs, options, recipes, time.monotonic() - began).write(path)
    return path


@dataclass(frozen=True)
class _Set:
    """The sentences of a data set, how much is done with them, and the recipe of all trainings on them."""

    sentences: Sentences
    sizes: Sizes
    recipe: Mapping[str, Any]


def _of(name: str, options: StudyOptions) -> _Set:
    sizes = options.pick(QUICK, LARGE.get(name, FULL))
    sentences = prepare(options.output / "sentences", name, annotated.read(name, options, sizes.most))
    recipe = {"encoder": annotated.encoder(name, options), "device": choose_device(options.device).type}
    return _Set(sentences, sizes, recipe | dict(sizes.recipe))


def _runs(options: StudyOptions, own: _Set) -> list[Run]:
    """Seed by seed, so that what a stopped study has is fair to all."""
    return [
        Run(kind, contender, seed, own.sentences, options.output / "models", own.recipe)
        for seed in range(options.seed, options.seed + own.sizes.num_seeds)
        for kind, contenders in own.sizes.contenders.items()
        for contender in contenders
    ]


def _costs(options: StudyOptions, own: _Set) -> dict[str, Cost]:
    path = options.output / f"costs-{own.sentences.name}.json"
    if not path.exists():
        contenders = [item for some in own.sizes.contenders.values() for item in some]
        sizes = own.sizes
        measured = measure_all(
            contenders,
            own.sentences,
            own.recipe,
            num_texts=sizes.num_texts,
            teaching=sizes.teaching,
            rounds=sizes.rounds,
        )
        write_json(path, {name: asdict(cost) for name, cost in measured.items()})
    return {name: Cost(**values) for name, values in json.loads(path.read_text("utf-8")).items()}


__all__ = ["run"]
