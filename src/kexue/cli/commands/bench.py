"""`kexue bench`: rerun what is measured beside peers, and say what got worse."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kexue.cli.console import err, out, quiet


def bench(
    only: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Run this benchmark; repeat for more. All where left out.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Tiny sizes, to see that it runs.")] = False,
    list_: Annotated[bool, typer.Option("--list", help="List the benchmarks and their peers, and run none.")] = False,
    output: Annotated[
        Path, typer.Option(help="Table of ratios (JSON); the same command goes on where it was stopped.")
    ] = Path("benchmarks-ratios.json"),
    against: Annotated[
        Path | None, typer.Option(help="Stored table to compare with; that in --output where left out.")
    ] = None,
    accept: Annotated[
        bool, typer.Option("--accept", help="Store the new ratios even where some are worse than the stored ones.")
    ] = False,
    model: Annotated[
        Path | None, typer.Option(help="Trained extractor to measure with; one is trained first where left out.")
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="Threads; with one, processor time counts.")] = 1,
    rounds: Annotated[
        int | None, typer.Option(min=1, help="Interleaved rounds; each benchmark's own number where left out.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of everything that is drawn.")] = 0,
) -> None:
    """Measure ours beside peers that are installed, and write the ratios; exit code 1 where one is worse than it was.

    Example: `kexue bench --only samplers --quick`
    """
    from kexue.benchmarks.__main__ import summaries
    from kexue.benchmarks.registry import BENCHMARKS
    from kexue.benchmarks.rerun import BenchOptions, markdown, rerun

    quiet()
    if list_:
        said = summaries()
        for name, benchmark in BENCHMARKS.items():
            beside = f" (beside {', '.join(benchmark.peers)})" if benchmark.peers else ""
            out.print(f"{name}: {said[name]}{beside}", highlight=False, markup=False)
        return
    options = BenchOptions(tuple(only or ()), quick, threads, rounds, seed, model)
    outcome = rerun(options, output, against=against, accept=accept, say=_say)
    typer.echo(f"\n{markdown(outcome.table)}")
    for line in (*outcome.left_out, *outcome.refused):
        _say(line)
    for change in outcome.worse:
        _say(f"worse: {change}")
    if outcome.worse and not accept:
        raise typer.Exit(1)
    out.print(str(output), highlight=False, markup=False)


def _say(line: str) -> None:
    err.print(line, highlight=False, markup=False)
