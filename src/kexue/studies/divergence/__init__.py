"""Does a regulariser help, and which divergence? R-Drop by three of them, VAT and FGM against none.

Writes divergence.md, and divergence.jsonl with the outcome of every training as it comes: a study that was interrupted
goes on from there. What is compared is in `variants`, a training in `trainings`, intervals in `comparison`.
"""

from __future__ import annotations

from pathlib import Path

from kexue.studies.divergence import report
from kexue.studies.divergence.data import FOLDERS, Parts, brought, from_package
from kexue.studies.divergence.sizes import FULL, LONG, QUICK
from kexue.studies.divergence.trainings import Outcome, Training
from kexue.studies.divergence.variants import VARIANTS
from kexue.studies.options import StudyOptions
from kexue.studies.outcomes import outcomes_of

RECORDS = "divergence.jsonl"


def run(options: StudyOptions) -> Path:
    """Train, measure, write the page, and return its path; raises for a data set that is not known or not there."""
    options.check_data(tuple(FOLDERS))
    sizes = options.pick(QUICK, FULL, LONG)
    seeds = tuple(range(options.seed, options.seed + sizes.num_seeds))
    trainings = [
        Training(name, data, variant, seed, sizes, options.device)
        for name, data in _data(options).items()
        for seed in seeds
        for variant in VARIANTS
    ]
    *_, outcomes = outcomes_of(trainings, Outcome, options.output / RECORDS, options)
    page = report.write(outcomes, options, sizes, seeds)
    return page.write(options.output / "divergence.md")


def _data(options: StudyOptions) -> dict[str, Parts]:
    """The folders that were given; PHEE, which comes with the package, where there are none."""
    given = {name: brought(name, folder) for name, folder in options.data.items()}
    return given or {"phee": from_package(options.output, quick=options.quick)}
