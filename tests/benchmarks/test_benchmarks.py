"""Every benchmark runs, is listed, explains itself, and prints what it promises."""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch

from kexue.benchmarks.__main__ import main, summaries
from kexue.benchmarks.heads import efficient_floor, standard_floor
from kexue.benchmarks.joined import join_documents
from kexue.benchmarks.long import widened
from kexue.benchmarks.measuring.comparison import Comparison
from kexue.benchmarks.measuring.machine import Rates
from kexue.benchmarks.measuring.report import Report
from kexue.benchmarks.peers import schedulers
from kexue.benchmarks.real import demo_sentences
from kexue.benchmarks.registry import BENCHMARKS
from kexue.benchmarks.synthetic import make_batch, make_head
from kexue.extraction.checkpoint import save_checkpoint
from kexue.extraction.formats import write_documents
from tests.extraction.tiny import tiny_checkpoint

PROMISES = {
    "heads": ("efficient heads", "standard heads", "sparse / ours", "floor"),
    "decoding": ("peer / ours", "untrained, slowest round", "all above 0, slowest round"),
    "step": ("training / encoder", "bfloat16, largest share of the heads"),
    "regularizers": ("time of R-Drop / two plain steps", "memory of R-Drop", "VAT"),
    "extract": ("kexue extract / encoder", "tokenising", "heads and decoding"),
    "likelihood": ("exact trace, mean error", "exact trace, rms error", "error of score_sde at equal time / ours"),
    "distributions": ("cross entropy", "Monte Carlo", "floor"),
    "samplers": ("DDIM, ours / bare", "DDIM, diffusers / ours", "W1 of the best peer / adams"),
    "image_training": ("training step", "forward + backward", "images / s"),
    "long": ("encoder time of a token", "trained heads", "untrained heads"),
}


@pytest.fixture(autouse=True)
def threads_and_environment_as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("RAYON_NUM_THREADS", "TOKENIZERS_PARALLELISM"):
        monkeypatch.setenv(name, os.environ.get(name, "false"))
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def few_schedulers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every fifth of diffusers: among them is each scheduler, and each option of one."""
    every = list(schedulers.configurations())
    few = every[::5]
    assert {name for name, _ in few} == {name for name, _ in every}
    assert _choices(few) == _choices(every)
    monkeypatch.setattr(schedulers, "configurations", lambda: iter(few))


def _choices(configurations: list[tuple[str, dict[str, Any]]]) -> set[tuple[str, Any]]:
    return {choice for _, options in configurations for choice in options.items()}


@pytest.mark.long
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of diffusers
def test_samplers_are_measured_beside_every_configuration_of_diffusers(capsys: pytest.CaptureFixture[str]):
    check_comparisons(import_module("kexue.benchmarks.samplers").main(["--quick"]).comparisons)
    assert "W1 of the best peer / adams" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("name", PROMISES)
@pytest.mark.filterwarnings("ignore::SyntaxWarning", "ignore::DeprecationWarning")  # of bert4torch and tensorboard
def test_a_benchmark_runs_and_prints_what_it_promises(
    name: str, capsys: pytest.CaptureFixture[str], request: pytest.FixtureRequest
):
    if name == "samplers":
        request.getfixturevalue("few_schedulers")
    report: Report = import_module(f"kexue.benchmarks.{name}").main(["--quick"])
    printed = capsys.readouterr().out
    assert "seed 0" in printed
    assert "GFLOP/s" in printed
    assert f"torch {torch.__version__}" in printed
    assert not [promise for promise in PROMISES[name] if promise not in printed]
    check_comparisons(report.comparisons)


def check_comparisons(found: Sequence[Comparison]) -> None:
    """What a benchmark hands to `kexue bench`: ratios with names of their own, of what stands beside them."""
    assert found
    assert len({comparison.name for comparison in found}) == len(found)
    for comparison in found:
        above, below = comparison.theirs, comparison.ours
        if comparison.at_most:
            above, below = below, above
        if comparison.spread is None:
            assert comparison.ratio == pytest.approx(above / below, rel=1e-6)
        assert comparison.ratio > 0
        assert comparison.peer


def test_all_benchmarks_are_listed_with_their_first_sentence(capsys: pytest.CaptureFixture[str]):
    main([])
    printed = capsys.readouterr().out
    alone = {"image_samplers", "joined", "occurrence", "suggestions", "thresholds"}
    assert {*BENCHMARKS, *alone} == summaries().keys()
    for summary in summaries().values():
        assert summary in printed


def test_a_misspelt_benchmark_is_answered_with_the_right_one():
    with pytest.raises(SystemExit, match="Did you mean 'decoding'"):
        main(["decodin"])


@pytest.mark.parametrize("name", PROMISES)
def test_help_says_how_it_is_measured(name: str, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as exit:
        import_module(f"kexue.benchmarks.{name}").main(["--help"])
    assert exit.value.code == 0
    printed = capsys.readouterr().out
    assert f"python -m kexue.benchmarks.{name}" in printed
    assert "--threads" in printed


def test_the_floor_of_efficient_heads_is_their_products_counted_by_hand():
    infinite = Rates(flops=1.0, bandwidth=float("inf"))
    project = 384 * 3 * 128  # three projections of a token to a query and a key of 64
    terms = 128 * 2 * (2 + 5 + 5)  # its row and column term for each label
    pairs = 7 * (3 * 64 + 2 + 5 + 5)  # with each other token: three products, and one for each label's sum
    assert efficient_floor(5, 7, 1, infinite) == 6 * 7 * (project + terms + pairs)


def test_standard_heads_cost_more_than_efficient_ones():
    rates = Rates(flops=1e11, bandwidth=4e10)
    assert standard_floor(24, 128, 8, rates) > 10 * efficient_floor(24, 128, 8, rates)


def test_widened_heads_find_what_the_heads_found_and_nothing_new():
    torch.manual_seed(0)
    head, batch = make_head(3), make_batch(3, 12, batch_size=2)
    wide = widened(head, 8)
    assert len(wide.labels.schema.predicates) == 8
    with torch.no_grad():
        scores, wider = head.starts(batch.hidden).dense(), wide.starts(batch.hidden).dense()
    torch.testing.assert_close(wider[:, :3], scores)
    assert float(wider[:, 3:].max()) < -900


def test_options_of_a_quick_run_are_tiny():
    options: Namespace = import_module("kexue.benchmarks.heads")._options(["--quick"])
    assert max(options.lengths) <= 32


def test_joined_documents_keep_their_annotations():
    documents = demo_sentences(5)
    joined = join_documents(documents)
    surfaces = [span.surface(item.text) for item in documents for span in item.entities]
    assert joined.text == " ".join(item.text for item in documents)
    assert [span.surface(joined.text) for span in joined.entities] == surfaces
    assert [fact.object.surface(joined.text) for fact in joined.relations] == [
        fact.object.surface(item.text) for item in documents for fact in item.relations
    ]


def test_a_model_is_measured_on_joined_texts(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    save_checkpoint(tiny_checkpoint(), tmp_path / "model")
    main(["joined", str(tmp_path / "model"), "--num", "7", "--sizes", "1", "3", "--device", "cpu"])
    rows = [line.split(" | ")[:2] for line in capsys.readouterr().out.splitlines()[2:4]]
    assert rows == [["| 1", "7"], ["| 3", "3"]]


@pytest.mark.long
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of tensorboard
def test_suggestions_are_compared_with_random_ones_at_every_size(capsys: pytest.CaptureFixture[str]):
    import_module("kexue.benchmarks.suggestions").main(["--quick", "--ways", "random", "suggested", "per character"])
    rows = [line.split(" | ") for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    named = [(way.removeprefix("| "), int(size)) for way, size, *_ in rows[2:]]
    assert named == [(way, size) for way in ("random", "suggested", "per character") for size in (8, 12)]
    assert len({row[2] for row in rows if row[1] == "8"}) == 1  # all begin with the same sentences
    assert len({row[2] for row in rows if row[1] == "12"}) > 1  # and go on with others


@pytest.mark.slow
@pytest.mark.usefixtures("unchecked")
def test_an_exported_model_is_measured_beside_its_source(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    save_checkpoint(tiny_checkpoint(), tmp_path / "model")
    write_documents(demo_sentences(4), tmp_path / "test.jsonl")
    options = ["--model", tmp_path / "model", "--test", tmp_path / "test.jsonl", "--without-compile", "--profile"]
    report = import_module("kexue.benchmarks.onnx").main([*map(str, options), "--quick"])
    printed = capsys.readouterr().out
    for promise in (
        "| ONNX float32 |",
        "| ONNX int8 |",
        "| MatMulIntegerToFloat |",
        "ONNX int8 / PyTorch float32",
        "F1 lost",
    ):
        assert promise in printed
    check_comparisons(report.comparisons)
