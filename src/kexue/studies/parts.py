"""A study made of parts: each measures one thing, shows it, and says which claims hold; the rest is the same for all.

A part is a module with `measure(lab)`, which returns plain numbers, texts, lists and dicts, and
`show(result, page, pictures)`, which adds to the page and returns `Claim`s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from kexue.studies.claims import Claim, add_verdicts
from kexue.studies.frame import ask, begin, repeat
from kexue.studies.lab import Lab
from kexue.studies.options import StudyOptions
from kexue.studies.page import Page
from kexue.studies.pictures import Pictures


class Part(Protocol):
    """A module of a study."""

    __name__: str

    def measure(self, lab: Lab) -> Any:
        """Plain numbers, texts, lists and dicts."""

    def show(self, result: Any, page: Page, pictures: Pictures) -> Sequence[Claim]:
        """Tables, pictures, claims."""


@dataclass(frozen=True)
class Study:
    """A name as in `STUDIES`, a title, the question, what the article claims, and the parts in their order."""

    name: str
    title: str
    question: str
    claimed: str
    parts: Sequence[Part]
    beyond: str = ""
    """What the study leaves open."""


def run_parts(study: Study, options: StudyOptions, known_data: tuple[str, ...] = ()) -> Path:
    """Measure what is not there yet, write the page anew after every part, and return its path."""
    options.check_data(known_data)
    lab = Lab(study.name, options)
    if not Pictures(options.output, study.name).possible:
        options.say("no pictures: they need matplotlib (pip install 'kexue[studies]')")
    path, results = options.output / f"{study.name}.md", {}
    for part in study.parts:
        results[_name(part)] = lab.keep(_name(part), lambda part=part: part.measure(lab))
        _page(study, lab, results).write(path)
    return path


def _page(study: Study, lab: Lab, results: Mapping[str, Any]) -> Page:
    """Of the parts that have been measured."""
    page = begin(study.title, lab.options)
    ask(page, study.question, study.claimed)
    pictures = Pictures(lab.options.output, study.name)
    measured = [part for part in study.parts if _name(part) in results]
    claims = [claim for part in measured for claim in part.show(results[_name(part)], page, pictures)]
    add_verdicts(page, claims)
    missing = [_name(part).replace("_", " ") for part in study.parts if _name(part) not in results]
    if missing:
        page.text(f"**Still to be measured by the command below: {', '.join(missing)}.**")
    if study.beyond:
        page.text(study.beyond)
    rest = f"{lab.seconds / 60:.1f} minutes of processor time; written by the study from {lab.path.name} beside it."
    repeat(page, lab.name, lab.options, lab.device.type, [lab.seed], rest)
    return page


def _name(part: Part) -> str:
    return part.__name__.rpartition(".")[2]
