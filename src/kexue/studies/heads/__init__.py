"""Which head? Every head on one encoder, one split, one trainer: F1, time, memory, parameters.

Writes heads.md, and beside it runs.jsonl and costs.json with every number. What is compared is in `contenders`; how,
in `runs` and `costs`; the `report` puts it into words.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from kexue.files import write_json
from kexue.ops.device import choose_device
from kexue.studies.heads import report
from kexue.studies.heads.contenders import ENTITIES, RELATIONS, Contender
from kexue.studies.heads.costs import Cost, measure_all
from kexue.studies.heads.data import Sentences, prepare
from kexue.studies.heads.runs import Outcome, Run
from kexue.studies.options import StudyOptions
from kexue.studies.outcomes import outcomes_of

DATA = ("conll04", "minilm")


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
    recipe={"encoder": "minilm", "epochs": 20, "batch_size": 32, "packing": 0.0, "patience": 6},
    num_texts=32,
    teaching=200,
    rounds=10,
)
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
    options.check_data(DATA)
    began = time.monotonic()
    sizes = options.pick(QUICK, FULL)
    options.output.mkdir(parents=True, exist_ok=True)
    sentences = prepare(options.output / "sentences", options.data.get("conll04"), sizes.most)
    recipe = dict(sizes.recipe) | {"device": choose_device(options.device).type}
    if "minilm" in options.data:
        recipe["encoder"] = str(options.data["minilm"])
    options.say("costs")
    costs = _costs(options, sizes, sentences, recipe)
    options.say("trainings")
    path = options.output / "heads.md"
    runs = _runs(options, sizes, sentences, recipe)
    for outcomes in outcomes_of(runs, Outcome, options.output / "runs.jsonl", options):
        page = report.write(list(outcomes.values()), costs, options, sentences.name, recipe, time.monotonic() - began)
        page.write(path)
    return path


def _runs(options: StudyOptions, sizes: Sizes, sentences: Sentences, recipe: Mapping[str, Any]) -> list[Run]:
    """Seed by seed, so that what a stopped study has is fair to all."""
    return [
        Run(kind, contender, seed, sentences, options.output / "models", recipe)
        for seed in range(options.seed, options.seed + sizes.num_seeds)
        for kind, contenders in sizes.contenders.items()
        for contender in contenders
    ]


def _costs(options: StudyOptions, sizes: Sizes, sentences: Sentences, recipe: Mapping[str, Any]) -> dict[str, Cost]:
    path = options.output / "costs.json"
    if not path.exists():
        contenders = [item for some in sizes.contenders.values() for item in some]
        measured = measure_all(
            contenders, sentences, recipe, num_texts=sizes.num_texts, teaching=sizes.teaching, rounds=sizes.rounds
        )
        write_json(path, {name: asdict(cost) for name, cost in measured.items()})
    return {name: Cost(**values) for name, values in json.loads(path.read_text("utf-8")).items()}


__all__ = ["run"]
