"""What the pages of all studies have alike: how they begin, and the command that repeats them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import date
from typing import Protocol

from kexue.studies.machine import describe_machine
from kexue.studies.options import StudyOptions
from kexue.studies.page import Page


class HasMachine(Protocol):
    """An outcome that says where it was made."""

    @property
    def machine(self) -> str:
        """In one line."""


def begin(title: str, options: StudyOptions) -> Page:
    """A page with its title, and a warning if the run is a quick one."""
    page = Page()
    page.heading(title, 1)
    if options.quick:
        page.text("**A quick run, to see that it runs: the numbers below mean little.**")
    return page


def ask(page: Page, question: str, claimed: str, *, claims: str = "What the article claims") -> None:
    """The question, and what is known of its answer; `claims` is the heading of that."""
    page.heading("Question")
    page.text(question)
    page.heading(claims)
    page.text(claimed)


def repeat(page: Page, name: str, options: StudyOptions, device: str, seeds: Iterable[int], rest: str) -> None:
    """The command, the seeds, the machine and the day; `rest` says how long it took and what else there is to know."""
    page.heading("To repeat it")
    page.code(command(name, options, device))
    listed = ", ".join(map(str, seeds))
    page.text(f"Seed{'s' * (',' in listed)} {listed}; on {describe_machine(device)}; {date.today()}. {rest}")


def machines(runs: Iterable[HasMachine]) -> str:
    """How many trainings were made on which machine."""
    return "; ".join(f"{count} on {where}" for where, count in Counter(run.machine for run in runs).items())


def command(name: str, options: StudyOptions, device: str) -> str:
    """What asks for the same once more; folders of data are the reader's own."""
    folders = "".join(f" --data {data}=FOLDER" for data in options.data)
    workers = f" --workers {options.workers}" if options.workers > 1 else ""
    return f"kexue study {name}{options.scale_option}{folders} --seed {options.seed} --device {device}{workers}"
