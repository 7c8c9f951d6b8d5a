"""Run every benchmark that stands beside a peer and can run here, keep the ratios, and tell what got worse.

Each benchmark's ratios are written as soon as they are there, so the same command goes on where it was stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from importlib import import_module
from pathlib import Path

from kexue.benchmarks.measuring.report import Report
from kexue.benchmarks.ratios import Change, Measured, Setting, Table, changes, read_table, write_table
from kexue.benchmarks.registry import BENCHMARKS
from kexue.errors import OptionError, unknown
from kexue.provenance import processor

Say = Callable[[str], None]


@dataclass(frozen=True)
class BenchOptions:
    """Which benchmarks, and how; `rounds` None leaves each its own number."""

    only: tuple[str, ...] = ()
    quick: bool = False
    threads: int = 1
    rounds: int | None = None
    seed: int = 0
    model: Path | None = None

    def __post_init__(self) -> None:
        for name in self.only:
            if name not in BENCHMARKS:
                raise OptionError(unknown("benchmark", name, tuple(BENCHMARKS)))

    def arguments(self, name: str) -> list[str]:
        """What the benchmark is called with."""
        benchmark = BENCHMARKS[name]
        given = [*benchmark.sizes, "--threads", str(self.threads), "--seed", str(self.seed)]
        given += [] if self.rounds is None else ["--rounds", str(self.rounds)]
        given += ["--model", str(self.model)] if benchmark.on_model and self.model is not None else []
        return [*given, "--quick"] if self.quick else given

    def setting(self, name: str) -> Setting:
        """Under which its ratios are kept."""
        versions = BENCHMARKS[name].versions()
        own_torch = versions.pop("torch")
        sizes = () if self.quick else BENCHMARKS[name].sizes
        return Setting(
            processor(), self.threads, self.quick, self.seed, sizes, versions, own_torch, date.today().isoformat()
        )


@dataclass
class Outcome:
    """What a run found: the ratios, what was left out and why, and what changed."""

    table: Table
    left_out: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)

    @property
    def worse(self) -> list[Change]:
        """Regressions."""
        return [change for change in self.changes if change.worse]


def rerun(options: BenchOptions, output: Path, *, against: Path | None, accept: bool, say: Say) -> Outcome:
    """Measure, write the table to `output`, and compare with the table in `against`.

    Where `against` is None, that is the table which `output` already holds. A table with regressions is written beside
    it, as NAME.worse.json, and `output` stays as it was, unless `accept`. Benchmarks that were not run keep their
    stored ratios.
    """
    stored = read_table(output) if output.exists() else {}
    then = stored if against is None else read_table(against)
    part = output.with_suffix(".part.json")
    table: Table = read_table(part) if part.exists() else {}
    outcome = Outcome({})
    for name in options.only or BENCHMARKS:
        benchmark, setting = BENCHMARKS[name], options.setting(name)
        if missing := benchmark.missing():
            outcome.left_out.append(f"{name} is left out: {_listed(missing)} not installed")
            say(outcome.left_out[-1])
            continue
        if absent := benchmark.absent_peers():
            outcome.left_out.append(f"{name} runs without {_listed(absent)} not installed")
            say(outcome.left_out[-1])
        if name in table and not setting.differs(table[name].setting):
            say(f"{name} was measured before this run was stopped")
        else:
            report: Report = import_module(f"kexue.benchmarks.{name}").main(options.arguments(name))
            table[name] = Measured(setting, tuple(report.comparisons))
            write_table(part, table)
        outcome.table[name] = table[name]
    outcome.changes, outcome.refused = changes(outcome.table, then)
    write_table(_place(output, outcome, accept), stored | outcome.table)
    part.unlink(missing_ok=True)
    return outcome


def _place(output: Path, outcome: Outcome, accept: bool) -> Path:
    return output.with_suffix(".worse.json") if outcome.worse and not accept else output


def markdown(table: Table) -> str:
    """All ratios, as they would stand in a page."""
    lines = ["| benchmark | what | beside | ratio | spread | target |", "|---|---|---|---|---|---|"]
    for name, measured in table.items():
        lines += [f"| {name} | {_row(measured, index)} |" for index in range(len(measured.comparisons))]
    return "\n".join(lines)


def _row(measured: Measured, index: int) -> str:
    own = measured.comparisons[index]
    versions = measured.setting.peers
    peer = " ".join([own.peer, *(version for package, version in versions.items() if own.peer.startswith(package))])
    said = str(own).split(", target ")
    ratio, _, spread = said[0].partition(" ± ")
    reached = "" if own.target is None else f"{said[1]}: {'reached' if own.target.reached else 'missed'}"
    return " | ".join((own.name, peer, ratio, spread or "none", reached))


def _listed(packages: Sequence[str]) -> str:
    return f"{' and '.join(packages)}, which {'is' if len(packages) == 1 else 'are'}"
