"""Does a deep stack of gated attention units need warm-up? The size of its branch, and trainings beside Transformers.

Writes gau-warmup.md, two pictures, and gau-warmup.jsonl with the losses of every training as it comes. How large a
branch is: `branch`. What is trained, on what, how: `contenders`, `transformer`, `text`, `training`; what comes out goes
through `findings` and `verdict` into the `report`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

import torch

from kexue.ops.device import choose_device
from kexue.studies.gau_warmup import branch, pictures, report
from kexue.studies.gau_warmup.contenders import BEGINNINGS, CONTENDERS, Contender
from kexue.studies.gau_warmup.findings import Findings, Run
from kexue.studies.gau_warmup.sizes import FULL, LONG, QUICK, Sizes
from kexue.studies.gau_warmup.text import read_text
from kexue.studies.gau_warmup.training import Attempt
from kexue.studies.options import StudyOptions
from kexue.studies.outcomes import Key, outcomes_of

RECORDS = "gau-warmup.jsonl"


def run(options: StudyOptions) -> Path:
    """Measure, write the page, and return its path; raises for a data set, as this study takes none.

    A stopped study goes on where it was.
    """
    options.check_data(())
    device = choose_device(options.device)
    sizes = options.pick(QUICK, FULL, LONG)
    options.say("branches")
    seeds = tuple(range(options.seed, options.seed + sizes.num_seeds))
    curves, kinds = branch.measure(sizes.curves, seeds, device), branch.measure(sizes.kinds, seeds[:1], device)
    options.say("trainings")
    *_, runs = outcomes_of(_attempts(sizes, seeds, device), Run, options.output / RECORDS, options)
    findings = Findings(curves, kinds, _of(CONTENDERS, runs), _of(BEGINNINGS, runs), read_text().entropy())
    page = report.write(findings, options, sizes, device, _draw(options, findings))
    return page.write(options.output / "gau-warmup.md")


def _attempts(sizes: Sizes, seeds: Sequence[int], device: torch.device) -> list[Attempt]:
    """All of a seed before those of the next, so that a study cut short has whole seeds."""
    return [
        Attempt(contender, depth, seed, sizes.training, device.type)
        for seed in seeds
        for contenders, depths in ((CONTENDERS, sizes.depths), (BEGINNINGS, (sizes.beginnings_depth,)))
        for depth in depths
        for contender in contenders
    ]


def _of(contenders: Sequence[Contender], runs: Mapping[Key, Run]) -> list[Run]:
    names = {contender.name for contender in contenders}
    return [run for run in runs.values() if run.contender in names]


def _draw(options: StudyOptions, findings: Findings) -> bool:
    """Both pictures; False where matplotlib is missing."""
    if find_spec("matplotlib") is None:
        options.say("no pictures: they need matplotlib (pip install 'kexue[studies]')")
        return False
    options.output.mkdir(parents=True, exist_ok=True)
    pictures.draw_branch(findings, options.output / report.BRANCH)
    pictures.draw_losses(findings, options.output / report.LOSSES)
    return True
