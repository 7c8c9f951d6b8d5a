"""Does the noise law matter? Each law of kexue.distributions against softmax, sparsemax and entmax 1.5.

Writes distributions.md and two pictures. What is compared is in `contenders`; how, in `classification`,
`attention`, `cost`, `properties` and `quadrature`; what comes out goes through `findings` and `verdict` into the
`report`.
"""

from __future__ import annotations

import time
from importlib.util import find_spec
from pathlib import Path

import torch

from kexue.studies.distributions import attention, classification, pictures, properties, quadrature, report
from kexue.studies.distributions.contenders import Contender, contenders, other_losses
from kexue.studies.distributions.cost import affordable, relative_costs
from kexue.studies.distributions.data import FOLDERS, Split, digits
from kexue.studies.distributions.findings import Findings
from kexue.studies.distributions.sizes import FULL, QUICK, Sizes
from kexue.studies.options import StudyOptions


def run(options: StudyOptions) -> Path:
    """Measure, write the page, and return its path; raises for a data set that is not known or not there."""
    options.check_data(tuple(FOLDERS))
    began = time.monotonic()
    sizes = options.pick(QUICK, FULL)
    seeds = tuple(range(options.seed, options.seed + sizes.num_seeds))
    findings = _measure(options, sizes, contenders(), seeds)
    drawn = _draw(options, sizes, findings)
    page = report.write(findings, options, seeds, drawn, time.monotonic() - began)
    return page.write(options.output / "distributions.md")


def _measure(options: StudyOptions, sizes: Sizes, maps: list[Contender], seeds: tuple[int, ...]) -> Findings:
    def within(shape: tuple[int, int], steps: int, wanted: list[Contender] = maps) -> list[Contender]:
        chosen = affordable(wanted, shape, steps, sizes.limit, options.seed)
        options.say(f"    {len(chosen)} of {len(wanted)} maps are fast enough at {shape[0]} x {shape[1]}")
        return chosen

    classifiers = [*maps, *other_losses()]
    classified = {}
    for name, split in _splits(options, sizes).items():
        options.say(name)
        training = sizes.training[name]
        fast = within((training.batch_size, split.num_classes), training.steps(len(split.train[1])), classifiers)
        classified[name] = classification.compare(fast, split, training, seeds)
    options.say("attention")
    fast = within((sizes.attention.batch_size, sizes.attention.length), sizes.attention.steps)
    attended = attention.compare(fast, sizes.attention, seeds)
    options.say("cost")
    costs = {
        shape: relative_costs(within(shape, sizes.rounds), shape, sizes.rounds, options.seed) for shape in sizes.costs
    }
    return Findings(
        maps,
        classifiers,
        classified,
        attended,
        costs,
        properties.measure(*sizes.properties, options.seed),
        quadrature.errors(sizes.quadrature, options.seed),
        sizes.limit,
    )


def _splits(options: StudyOptions, sizes: Sizes) -> dict[str, Split]:
    brought = {name: load(options.data[name]) for name, load in FOLDERS.items() if name in options.data}
    return {name: split for name, split in {"digits": digits(), **brought}.items() if name in sizes.training}


def _draw(options: StudyOptions, sizes: Sizes, findings: Findings) -> bool:
    """Both pictures; False where matplotlib is missing."""
    if find_spec("matplotlib") is None:
        options.say("no pictures: they need matplotlib (pip install 'kexue[studies]')")
        return False
    options.say("pictures")
    options.output.mkdir(parents=True, exist_ok=True)
    different = [contender for contender in findings.maps if contender.name != "gumbel"]  # which is softmax
    with torch.no_grad():
        pictures.draw_maps(different, options.output / report.MAPS, sizes.points)
    pictures.draw_focus(findings.mean_focus(), options.output / report.FOCUS)
    return True
