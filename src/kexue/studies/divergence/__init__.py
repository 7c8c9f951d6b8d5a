"""Does a regulariser help, and which divergence? R-Drop by three of them, VAT and FGM against none.

Writes divergence.jsonl with the outcome of every training as it comes, and divergence.md anew each time: a study that
was interrupted goes on from there. What is compared is in `variants`, a training in `trainings`, intervals in
`comparison`.
"""

from __future__ import annotations

from pathlib import Path

from kexue.studies import annotated
from kexue.studies.divergence import report
from kexue.studies.divergence.sizes import sizes_for
from kexue.studies.divergence.trainings import Outcome, TrainedOn, Training
from kexue.studies.divergence.variants import VARIANTS
from kexue.studies.options import StudyOptions
from kexue.studies.outcomes import outcomes_of

RECORDS = "divergence.jsonl"


def run(options: StudyOptions) -> Path:
    """Train, measure, write the page, and return its path; raises for a data set that is not known or not there."""
    options.check_data(annotated.DATA)
    sets = [_of(name, options) for name in annotated.given(options)]
    trainings = [
        Training(own, variant, seed, options.device) for own in sets for seed in own.seeds for variant in VARIANTS
    ]
    path = options.output / "divergence.md"
    for outcomes in outcomes_of(trainings, Outcome, options.output / RECORDS, options):
        report.write(outcomes, options, sets).write(path)
    return path


def _of(name: str, options: StudyOptions) -> TrainedOn:
    sizes = sizes_for(name, options)
    files = annotated.write(annotated.read(name, options, sizes.most), options.output / "sentences", name)
    seeds = tuple(range(options.seed, options.seed + sizes.num_seeds))
    return TrainedOn(name, files, sizes.encoder or annotated.encoder(name, options), seeds, sizes)
