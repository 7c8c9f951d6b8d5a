"""What every study is told: how long it may take, where to write, where data lies, and where to speak."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from kexue.errors import DataError, OptionError, unknown

T = TypeVar("T")


@dataclass(frozen=True)
class StudyOptions:
    """Options of one run.

    quick   small sizes and one seed, to see that it runs; the numbers mean little
    long    more seeds, larger networks and longer trainings, for a GPU, where a study has such a form
    output  folder for the page and its pictures
    data    folders of data sets that do not come with the package, by name
    say     takes one line on how far it is
    device  cpu or cuda; the best there is where None
    workers trainings that go on at the same time, each in a process of its own, where a study has many
    """

    output: Path
    quick: bool = False
    seed: int = 0
    data: Mapping[str, Path] = field(default_factory=dict)
    say: Callable[[str], None] = print
    device: str | None = None
    workers: int = 1
    long: bool = False

    def __post_init__(self) -> None:
        if self.quick and self.long:
            raise OptionError("a run is either quick or long, not both.")

    @property
    def scale(self) -> str:
        """quick, full or long."""
        return "quick" if self.quick else "long" if self.long else "full"

    @property
    def scale_option(self) -> str:
        """What asks for the scale on the command line, after a space; nothing for the full one."""
        return "" if self.scale == "full" else f" --{self.scale}"

    def pick(self, quick: T, full: T, long: T | None = None) -> T:
        """What the scale asks for; `full` where a long run is asked for and has nothing of its own."""
        if self.scale == "long":
            return full if long is None else long
        return quick if self.quick else full

    def check_data(self, known: tuple[str, ...]) -> None:
        """Refuse a data set that the study does not use, and a folder that is not there."""
        for name, folder in self.data.items():
            if name not in known:
                raise OptionError(unknown("data set", name, known))
            if not folder.is_dir():
                raise DataError("is not a folder", path=folder)
