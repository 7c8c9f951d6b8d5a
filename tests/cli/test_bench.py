"""`kexue bench` lists, measures in its quick form, and ends with 1 where a ratio is worse than the stored one."""

from __future__ import annotations

import json
from pathlib import Path

from kexue.benchmarks.registry import BENCHMARKS
from tests.commands import Command


def test_the_benchmarks_are_listed_with_their_peers(kexue: Command):
    lines = kexue("bench", "--list").out.splitlines()
    assert [line.split(":")[0] for line in lines] == list(BENCHMARKS)
    assert "(beside diffusers)" in next(line for line in lines if line.startswith("samplers"))


def test_a_quick_run_writes_the_table_and_a_worse_one_ends_with_1(kexue: Command, tmp_path: Path):
    output = tmp_path / "ratios.json"
    call = ("bench", "--only", "likelihood", "--quick", "--output", str(output))
    first = kexue(*call)
    assert first.code == 0
    assert "| likelihood | error of score_sde at equal time / ours, exact |" in first.out
    table = json.loads(output.read_text())
    for row in table["benchmarks"]["likelihood"]["ratios"]:
        row["ratio"], row["spread"] = 1e6 * row["ratio"], 0.01
    output.write_text(json.dumps(table))
    second = kexue(*call)
    assert second.code == 1
    assert "worse: likelihood, error of score_sde" in second.err
    assert kexue(*call, "--accept").code == 0
    assert kexue(*call, "--against", str(tmp_path / "none.json")).code == 2


def test_a_misspelt_benchmark_is_answered_in_one_line(kexue: Command):
    assert "Did you mean 'heads'" in kexue("bench", "--only", "head").complaint
