"""Does a deep stack of gated attention units need warm-up? The size of its branch, and trainings beside Transformers.

Writes gau-warmup.md and two pictures. How large a branch is: `branch`. What is trained, on what, how: `contenders`,
`transformer`, `text`, `training`; what comes out goes through `findings` and `verdict` into the `report`.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import torch

from kexue.ops.device import choose_device
from kexue.studies.gau_warmup import branch, pictures, report
from kexue.studies.gau_warmup.contenders import BEGINNINGS, CONTENDERS, Contender
from kexue.studies.gau_warmup.findings import Findings, Run
from kexue.studies.gau_warmup.sizes import FULL, LONG, QUICK, Sizes
from kexue.studies.gau_warmup.text import Text, read_text
from kexue.studies.gau_warmup.training import train
from kexue.studies.options import StudyOptions


def run(options: StudyOptions) -> Path:
    """Measure, write the page, and return its path; raises for a data set, as this study takes none."""
    options.check_data(())
    began = time.monotonic()
    device = choose_device(options.device)
    sizes = options.pick(QUICK, FULL, LONG)
    findings = _measure(options, sizes, device)
    drawn = _draw(options, findings)
    page = report.write(findings, options, sizes, device, drawn, time.monotonic() - began)
    return page.write(options.output / "gau-warmup.md")


def _measure(options: StudyOptions, sizes: Sizes, device: torch.device) -> Findings:
    seeds = tuple(range(options.seed, options.seed + sizes.num_seeds))
    text = read_text()
    options.say("branches")
    curves = branch.measure(sizes.curves, seeds, device)
    kinds = branch.measure(sizes.kinds, seeds[:1], device)
    by_depth, by_beginning = _train(options, sizes, text, seeds, device)
    return Findings(curves, kinds, by_depth, by_beginning, text.entropy())


def _train(
    options: StudyOptions, sizes: Sizes, text: Text, seeds: Sequence[int], device: torch.device
) -> tuple[list[Run], list[Run]]:
    """All trainings of a seed before those of the next, so that a study cut short has whole seeds."""
    by_depth: list[Run] = []
    by_beginning: list[Run] = []
    began = time.monotonic()
    for seed in seeds:
        if time.monotonic() - began > sizes.limit:
            options.say(f"{sizes.limit:.0f} s have passed: no further seed")
            break
        for depth in sizes.depths:
            by_depth += _trainings(options, sizes, text, CONTENDERS, depth, seed, device)
        by_beginning += _trainings(options, sizes, text, BEGINNINGS, sizes.beginnings_depth, seed, device)
    return by_depth, by_beginning


def _trainings(
    options: StudyOptions,
    sizes: Sizes,
    text: Text,
    contenders: Sequence[Contender],
    depth: int,
    seed: int,
    device: torch.device,
) -> list[Run]:
    runs = []
    for contender in contenders:
        began = time.monotonic()
        runs.append(Run(contender.name, depth, seed, train(contender, text, sizes.training, depth, seed, device)))
        options.say(
            f"    {contender.name}, {depth} branches, seed {seed}: {runs[-1].final:.3f} "
            f"({time.monotonic() - began:.1f} s)"
        )
    return runs


def _draw(options: StudyOptions, findings: Findings) -> bool:
    """Both pictures; False where matplotlib is missing."""
    if find_spec("matplotlib") is None:
        options.say("no pictures: they need matplotlib (pip install 'kexue[studies]')")
        return False
    options.output.mkdir(parents=True, exist_ok=True)
    pictures.draw_branch(findings, options.output / report.BRANCH)
    pictures.draw_losses(findings, options.output / report.LOSSES)
    return True
