"""The instruments tell the truth where the truth is known."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest
import torch

from kexue.benchmarks.measuring.machine import Rates, describe
from kexue.benchmarks.measuring.memory import peak_bytes
from kexue.benchmarks.measuring.processes import Watched, watch
from kexue.benchmarks.measuring.report import Report, Target, number
from kexue.benchmarks.measuring.timing import Elapsed, Ratio, Times, interleaved


def test_cases_take_turns_after_one_warm_up_each():
    order: list[str] = []
    times = interleaved({name: lambda name=name: order.append(name) for name in "ab"}, 3)
    assert order == list("ab") * 4
    assert [len(own.wall) for own in times.values()] == [3, 3]


def test_a_case_that_repeats_is_charged_the_mean():
    times = interleaved({"nap": lambda: time.sleep(0.01)}, 1, repeats={"nap": 3}, warm_up=False)
    assert 0.01 <= times["nap"].median_wall < 0.02
    assert times["nap"].median_cpu < 0.005


def test_a_case_with_a_clock_of_its_own_is_believed():
    times = interleaved({"own": lambda: Elapsed(7.0, 5.0)}, 2)
    assert times["own"] == Times(wall=(7.0, 7.0), cpu=(5.0, 5.0))


def test_a_ratio_is_the_median_over_rounds_not_of_the_medians():
    ours, peer = Times((1.0, 10.0, 2.0), (1.0,) * 3), Times((3.0, 20.0, 8.0), (2.0,) * 3)
    assert peer.ratio(ours).wall == 3.0
    assert peer.ratio(ours).cpu == 2.0


def test_the_peak_counts_temporaries_and_not_what_was_there_before():
    matrix = torch.randn(1000, 1000)
    assert peak_bytes(lambda: torch.logsumexp(matrix, 0)) == pytest.approx(4e6, rel=0.01)  # exp(x - max) inside
    assert peak_bytes(lambda: (matrix + 1) * 2) == pytest.approx(8e6, rel=0.01)
    assert peak_bytes(lambda: None) == 0


def test_the_peak_is_that_of_one_moment():
    def in_turn() -> None:
        for _ in range(5):
            torch.empty(1000, 1000)

    assert peak_bytes(in_turn) == 4_000_000


def test_a_floor_adds_arithmetic_and_traffic():
    assert Rates(flops=100.0, bandwidth=10.0).floor(50, 20) == 2.5


def test_the_machine_is_described_with_what_changes_results():
    assert f"torch {torch.__version__}" in describe()
    assert f"threads {torch.get_num_threads()}" in describe()


@pytest.mark.parametrize(
    ("measured", "promised", "at_most", "reached"),
    [(60.0, 60, False, True), (59.9, 60, False, False), (1.2, 1.2, True, True), (1.21, 1.2, True, False)],
)
def test_a_target_is_reached_at_its_number(measured: float, promised: float, at_most: bool, reached: bool):
    target = Target("name", measured, promised, at_most=at_most)
    assert target.reached == reached
    assert str(target).endswith("reached" if reached else "MISSED")


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (0.012345, "0.0123"), (1.2345, "1.23"), (123.45, "123"), (12345.0, "12300"), (1e-6, "0.000001")],
)
def test_numbers_have_three_digits_and_no_exponent(value: float, text: str):
    assert number(value) == text


def test_a_table_is_markdown(capsys: pytest.CaptureFixture[str]):
    Report().table(["a", "b"], [["x", 1.5]])
    assert capsys.readouterr().out == "| a | b |\n| --- | --- |\n| x | 1.5 |\n\n"


@pytest.mark.parametrize(("threads", "decides"), [(1, 2.0), (2, 3.0)])
def test_processor_time_decides_with_one_thread_and_wall_time_with_more(
    threads: int, decides: float, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    assert Ratio(wall=3.0, cpu=2.0).sound == decides


CHILD = "import time; block = bytearray(2**26); end = time.process_time() + 0.4\nwhile time.process_time() < end: pass"
RENAMED = """
import time
for title in "abc":
    open("/proc/self/comm", "w").write(title)
    end = time.process_time() + 0.4
    while time.process_time() < end: pass
"""
PARENT = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {CHILD!r}])"


def test_a_command_is_watched_with_what_it_starts():
    seen = watch([[sys.executable, "-c", PARENT], [sys.executable, "-c", "pass"]], {})
    assert 0.2 <= seen.cpu < 5 and seen.wall >= 0.4
    assert len(seen.memory) >= 2
    assert max(megabytes for samples in seen.memory.values() for _, megabytes in samples) > 64


@pytest.mark.skipif(not Path("/proc/self/comm").exists(), reason="a process can change its name on Linux")
def test_a_process_that_changes_its_name_is_counted_once():
    seen = watch([[sys.executable, "-c", RENAMED]], {})
    assert len(seen.memory) == 1
    assert 0.8 <= seen.cpu < 1.5


def test_a_command_that_fails_is_told_with_its_last_words():
    with pytest.raises(RuntimeError, match="ended with 3: last words"):
        watch([[sys.executable, "-c", "import sys; print('last words'); sys.exit(3)"]], {})


def test_memory_is_told_quarter_by_quarter():
    seen = Watched()
    seen.memory[1] = [(10.0 + second, float(second)) for second in range(9)]
    assert seen.quarters(1) == [0.5, 2.5, 4.5, 7.0]
