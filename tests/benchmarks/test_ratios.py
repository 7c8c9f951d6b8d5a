"""`kexue bench`: ratios are kept with their setting, noise is no regression, a regression is one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import kexue.benchmarks.likelihood
import kexue.benchmarks.samplers
from kexue.benchmarks.measuring.comparison import Comparison
from kexue.benchmarks.measuring.report import Report
from kexue.benchmarks.measuring.timing import Times, spread
from kexue.benchmarks.ratios import Change, Measured, Setting, changes, read_table, write_table
from kexue.benchmarks.registry import BENCHMARKS
from kexue.benchmarks.rerun import BenchOptions, markdown, rerun
from kexue.errors import DataError, OptionError

SETTING = Setting("a processor", 1, False, 0, (), {"peer": "1.0"}, "2.13.0", "2026-11-26")


def row(ratio: float, spread: float | None = 0.02, *, at_most: bool = False, name: str = "time") -> Comparison:
    return Comparison(name, "peer", 1.0, ratio, ratio, spread, None, at_most)


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[Comparison]]:
    """What two benchmarks would find; nothing is timed."""
    found = {"samplers": [row(4.0)], "likelihood": [row(200.0, name="error")]}
    for name in found:

        def main(arguments: list[str], name: str = name) -> Report:
            return Report(comparisons=found[name])

        monkeypatch.setattr(f"kexue.benchmarks.{name}.main", main)
    return found


def run(output: Path, *, accept: bool = False, against: Path | None = None, **options: object):
    said: list[str] = []
    chosen = BenchOptions(only=("samplers", "likelihood"), **options)
    return rerun(chosen, output, against=against, accept=accept, say=said.append), said


@pytest.mark.parametrize("at_most", [False, True])
def test_a_ratio_of_times_is_the_median_of_the_rounds_and_names_who_is_better(at_most: bool):
    ours, theirs = Times((1.0, 2.0, 1.0), (1.0, 2.0, 1.0)), Times((4.0, 8.0, 5.0), (4.0, 8.0, 5.0))
    found = Comparison.of_times("x", ours, theirs, "peer", promised=3, at_most=at_most)
    assert found.ratio == (0.25 if at_most else 4.0)
    assert (found.ours, found.theirs) == (1.0, 5.0)
    assert found.target is not None
    assert found.target.reached


def test_the_spread_of_normal_noise_is_its_standard_deviation_and_one_outlier_does_not_count():
    import numpy as np

    noise = 3 * (1 + 0.05 * np.random.default_rng(0).standard_normal(4001))
    assert spread(noise.tolist()) == pytest.approx(0.05, rel=0.05)
    assert spread([2.0, 2.02, 1.98, 2.0, 40.0]) == pytest.approx(1.4826 * 0.01)


@pytest.mark.parametrize(
    ("then", "now", "worse"),
    [
        (row(4.0), row(3.7), False),  # less than a tenth
        (row(4.0), row(3.5), True),
        (row(4.0), row(9.0), False),  # better
        (row(4.0, 0.1), row(2.9, 0.05), False),  # within three spreads of both
        (row(4.0, 0.1), row(2.5, 0.05), True),
        (row(1.0, at_most=True), row(1.2, at_most=True), True),
        (row(1.0, at_most=True), row(0.5, at_most=True), False),
        (row(10.0, None), row(9.9, None), False),  # numbers that repeat: a fiftieth
        (row(10.0, None), row(9.7, None), True),
        (row(3.0), row(0.0), True),
    ],
)
def test_worse_is_what_moved_the_wrong_way_beyond_noise(then: Comparison, now: Comparison, worse: bool):
    assert Change("a", now, then).worse is worse


@pytest.mark.parametrize(
    ("field", "value"),
    [("processor", "other"), ("threads", 2), ("quick", True), ("peers", {"peer": "1.1"}), ("sizes", ("--x", "1"))],
)
def test_ratios_of_another_setting_are_not_judged_and_it_is_said_why(field: str, value: object):
    now = {"a": Measured(replace(SETTING, **{field: value}), (row(1.0),))}
    found, refused = changes(now, {"a": Measured(SETTING, (row(4.0),))})
    assert not found
    assert refused[0].startswith(f"a is not held against the stored ratios: {field} ")


def test_another_torch_is_judged():
    now = {"a": Measured(replace(SETTING, torch="9.9"), (row(1.0),))}
    assert changes(now, {"a": Measured(SETTING, (row(4.0),))})[0][0].worse


def test_a_table_comes_back_as_it_was_written(tmp_path: Path):
    table = {"a": Measured(replace(SETTING, sizes=("--lengths", "128")), (row(4.0), row(2.0, None, name="memory")))}
    write_table(tmp_path / "t.json", table)
    assert read_table(tmp_path / "t.json") == table


@pytest.mark.parametrize(
    "text", ["", "{}", '{"format": 2, "benchmarks": {}}', '{"format": 1, "benchmarks": {"a": {}}}']
)
def test_another_file_is_refused_by_its_name(text: str, tmp_path: Path):
    (tmp_path / "t.json").write_text(text)
    with pytest.raises(DataError, match=r"t\.json: "):
        read_table(tmp_path / "t.json")


def test_what_is_worse_is_written_beside_and_the_stored_table_stays(measured: dict, tmp_path: Path):
    output = tmp_path / "table.json"
    run(output)
    before = output.read_bytes()
    measured["samplers"] = [row(2.0)]
    outcome, _ = run(output)
    assert [str(change.benchmark) for change in outcome.worse] == ["samplers"]
    assert output.read_bytes() == before
    assert read_table(tmp_path / "table.worse.json")["samplers"].comparisons[0].ratio == 2.0
    run(output, accept=True)
    assert read_table(output)["samplers"].comparisons[0].ratio == 2.0


def test_ratios_may_be_held_against_another_table(measured: dict, tmp_path: Path):
    run(tmp_path / "old.json")
    measured["samplers"] = [row(2.0)]
    outcome, _ = run(tmp_path / "new.json", against=tmp_path / "old.json")
    assert [change.then.ratio for change in outcome.worse] == [4.0]


def test_benchmarks_that_were_not_run_keep_their_ratios(measured: dict, tmp_path: Path):
    run(tmp_path / "table.json")
    rerun(BenchOptions(only=("samplers",)), tmp_path / "table.json", against=None, accept=False, say=print)
    assert read_table(tmp_path / "table.json").keys() == {"samplers", "likelihood"}


def test_a_run_that_was_stopped_goes_on(measured: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def stop(arguments: list[str]) -> Report:
        raise KeyboardInterrupt

    second = kexue.benchmarks.likelihood.main
    monkeypatch.setattr("kexue.benchmarks.likelihood.main", stop)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "table.json")
    monkeypatch.setattr("kexue.benchmarks.likelihood.main", second)
    monkeypatch.setattr("kexue.benchmarks.samplers.main", stop)
    outcome, said = run(tmp_path / "table.json")
    assert "samplers was measured before this run was stopped" in said
    assert outcome.table.keys() == {"samplers", "likelihood"}
    assert [path.name for path in tmp_path.iterdir()] == ["table.json"]


def test_what_is_not_installed_is_said_and_left_out(measured: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(BENCHMARKS, "samplers", replace(BENCHMARKS["samplers"], needs=("no-such-package",)))
    monkeypatch.setitem(BENCHMARKS, "likelihood", replace(BENCHMARKS["likelihood"], peers=("no-such-peer",)))
    outcome, said = run(tmp_path / "table.json")
    assert outcome.table.keys() == {"likelihood"}
    assert said == [
        "samplers is left out: no-such-package, which is not installed",
        "likelihood runs without no-such-peer, which is not installed",
    ]


def test_a_misspelt_benchmark_is_answered_with_the_right_one():
    with pytest.raises(OptionError, match="Did you mean 'samplers'"):
        BenchOptions(only=("sampler",))


def test_the_page_has_a_row_for_each_ratio_with_the_version_of_its_peer():
    rows = (replace(row(4.0), promised=5.0), row(2.0, None, name="memory"))
    shown = markdown({"a": Measured(SETTING, rows)}).splitlines()[2:]
    assert shown == [
        "| a | time | peer 1.0 | 4 | 2% | at least 5: missed |",
        "| a | memory | peer 1.0 | 2 | none |  |",
    ]


@pytest.mark.parametrize("name", BENCHMARKS)
def test_the_sizes_of_a_benchmark_are_options_it_has(name: str, capsys: pytest.CaptureFixture[str]):
    from importlib import import_module

    with pytest.raises(SystemExit) as ended:
        import_module(f"kexue.benchmarks.{name}").main(["--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    wanted = [word for word in BenchOptions().arguments(name) if word.startswith("--")]
    assert not [word for word in [*wanted, "--quick", "--rounds"] if word not in shown]
