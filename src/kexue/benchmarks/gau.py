"""The GAU encoder beside peers' gated units and Transformers: time and peak memory of a pass forward and backward.

    python -m kexue.benchmarks.gau [--device cuda] [--units 12] [--lengths 512 2048] [--long 2048 8192 16384]

Encoders of equal parameters, hidden size 384: 12 gated units (expansion 2, key dimension 128) or 6 Transformer layers,
over embedded tokens, without dropout and padding, as many tokens at every length. On a CPU in float32 (--bfloat16 for
autocast), on a GPU under bfloat16 autocast; --compile adds ours compiled. Peers are FLASH-pytorch, bert4torch 0.6.0,
RoFormer and BERT of transformers, whichever are installed.

The floor is the arithmetic of our matrix products, each once forward and twice backward, at the measured rate of a
product of that precision; it is that of every quadratic gated unit of this shape, peers' included. A training step is
clipping and AdamW besides.
"""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from kexue.benchmarks.measuring.comparison import Comparison
from kexue.benchmarks.measuring.memory import peak_bytes
from kexue.benchmarks.measuring.options import begin, make_parser
from kexue.benchmarks.measuring.report import Report, Target, number
from kexue.benchmarks.measuring.timing import Ratio, Run, Times, interleaved
from kexue.benchmarks.peers.encoders import Size, installed_peers
from kexue.encoders.gau import GAUConfig, GAUModel
from kexue.errors import OptionError
from kexue.ops.device import choose_device

OURS = ("squared_relu", "entropy_invariant_softmax")
"""Our quadratic units."""
MIXED = "mixed_chunk"
BERT = "BERT, SDPA"
UNITS = ("FLASH-pytorch GAU", "bert4torch GAU")
"""Peers' quadratic gated units."""
KEY_DIM = 128
SIDE = {"cpu": 1024, "cuda": 4096}
"""Of the square matrices whose product tells the rate."""


@dataclass(frozen=True)
class Bench:
    """Where, in which precision, how often."""

    device: torch.device
    half: bool
    rounds: int
    tokens: int
    size: Size

    def context(self) -> AbstractContextManager[object]:
        """Autocast, or nothing."""
        return torch.autocast(self.device.type, torch.bfloat16) if self.half else nullcontext()

    def sound(self, ratio: Ratio) -> float:
        """A ratio by the clock that counts: on a GPU that on the wall."""
        return ratio.sound if self.device.type == "cpu" else ratio.wall

    def seconds(self, times: Times) -> float:
        """The median by that clock."""
        alone = self.device.type == "cpu" and torch.get_num_threads() == 1
        return times.median_cpu if alone else times.median_wall


@dataclass(frozen=True)
class Column:
    """What was measured at one length."""

    times: Mapping[str, Times]
    peaks: Mapping[str, int]


class Ours(nn.Module):
    """The GAU encoder over embedded tokens."""

    def __init__(self, attention: str, size: Size) -> None:
        super().__init__()
        config = GAUConfig(
            vocab_size=2,
            hidden_size=size.dim,
            num_hidden_layers=size.num_units,
            key_dim=KEY_DIM,
            attention=attention,
            hidden_dropout=0.0,
            attention_dropout=0.0,
        )
        self.model = GAUModel(config)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.model(inputs_embeds=x).last_hidden_state
        return out


def main(arguments: list[str]) -> Report:
    """Print a table for short texts, one for long ones, and the step beside its floor."""
    options = _options(arguments)
    report, _ = begin("gau", options)
    device = choose_device(options.device)
    longest = max([*options.lengths, *options.long])
    size = Size(dim=options.dim, num_units=options.units, longest=longest)
    half = options.bfloat16 or device.type == "cuda"
    bench = Bench(device, half, options.rounds, options.tokens, size)
    rate = product_rate(bench)
    report.line(_about(bench, rate))
    models = _models(bench, options)
    report.line(_parameters(models))
    columns = {length: measure(models, length, bench) for length in options.lengths}
    _table(report, columns, models, bench)
    _targets(report, columns, bench)
    _floors(report, columns, rate, bench)
    _long(report, {name: models[name] for name in (MIXED, BERT) if name in models}, options.long, bench)
    _step(report, models[OURS[0]], options.lengths[0], rate, bench)
    return report


def measure(models: Mapping[str, nn.Module], length: int, bench: Bench) -> Column:
    """Time all encoders in turn at one length, and their peaks once."""
    runs = {name: _passes(model, length, bench) for name, model in models.items()}
    times = interleaved(runs, bench.rounds)
    return Column(times, {name: _peak(models[name], run, bench.device) for name, run in runs.items()})


def product_rate(bench: Bench) -> float:
    """Operations in a second in a square matrix product of the precision that counts; the fastest of some."""
    side = SIDE[bench.device.type]
    dtype = torch.bfloat16 if bench.half else torch.float32
    a, b = torch.randn(2, side, side, device=bench.device, dtype=dtype).unbind()

    def products() -> None:
        for _ in range(4):
            torch.mm(a, b)
        _wait(bench.device)

    times = interleaved({"product": products}, 9)["product"]
    return 4 * 2 * side**3 / min(times.wall if bench.device.type == "cuda" else times.cpu)


def quadratic_flops(size: Size, length: int) -> float:
    """Operations of a token's products, forward and backward, in a stack of quadratic units."""
    return 3 * 2 * size.num_units * (_projections(size) + length * (KEY_DIM + 2 * size.dim))


def _projections(size: Size) -> int:
    return 3 * size.dim * 2 * size.dim + size.dim * KEY_DIM


def _options(arguments: list[str]) -> Namespace:
    parser = make_parser("gau", __doc__)
    parser.add_argument("--device", help="cpu or cuda (default: the best there is)")
    parser.add_argument("--bfloat16", action="store_true", help="bfloat16 autocast on a CPU too")
    parser.add_argument("--compile", action="store_true", help="also ours through torch.compile")
    parser.add_argument("--dim", type=int, default=384, help="hidden size (default 384)")
    parser.add_argument("--units", type=int, default=12, help="gated units, an even number (default 12)")
    parser.add_argument("--tokens", type=int, help="of a batch (default 4096, on a GPU 32768)")
    parser.add_argument("--lengths", type=int, nargs="+", default=[512, 2048])
    parser.add_argument("--long", type=int, nargs="*", default=[2048, 8192, 16384], help="of mixed chunk attention")
    options = parser.parse_args(arguments)
    if options.units % 2:
        raise OptionError(f"--units takes an even number, not {options.units}: a Transformer has half as many layers")
    if options.quick:
        options.dim, options.units, options.rounds, options.tokens = 64, 2, 1, 64
        options.lengths, options.long = [16, 32], [32, 64]
    if options.tokens is None:
        options.tokens = 32768 if choose_device(options.device).type == "cuda" else 4096
    return options


def _models(bench: Bench, options: Namespace) -> dict[str, nn.Module]:
    makers: dict[str, Callable[[Size], nn.Module]] = {name: partial(Ours, name) for name in (*OURS, MIXED)}
    models = {name: make(bench.size).to(bench.device) for name, make in {**makers, **installed_peers()}.items()}
    if options.compile:
        models |= {f"{name}, compiled": torch.compile(models[name], dynamic=False) for name in (*OURS, MIXED)}
    return models


def _about(bench: Bench, rate: float) -> str:
    name = torch.cuda.get_device_name(bench.device) if bench.device.type == "cuda" else "CPU"
    precision = "bfloat16 autocast" if bench.half else "float32"
    return f"{name}, {precision}, {rate / 1e9:.0f} GFLOP/s in a product; {bench.tokens} tokens in a batch\n"


def _parameters(models: Mapping[str, nn.Module]) -> str:
    counts = {
        name: sum(weight.numel() for key, weight in model.named_parameters() if "embed" not in key)
        for name, model in models.items()
    }
    return "millions of parameters: " + ", ".join(f"{name} {count / 1e6:.2f}" for name, count in counts.items()) + "\n"


def _passes(model: nn.Module, length: int, bench: Bench) -> Run:
    """A forward and a backward pass from a random gradient, gradients begun anew."""
    num_texts = max(1, bench.tokens // length)
    x = torch.randn(num_texts, length, bench.size.dim, device=bench.device, requires_grad=True)
    gradient = torch.randn_like(x)

    def run() -> None:
        model.zero_grad(set_to_none=True)
        with bench.context():
            out = model(x)
        out.backward(gradient.to(out.dtype))
        x.grad = None
        _wait(bench.device)

    return run


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _peak(model: nn.Module, run: Run, device: torch.device) -> int:
    model.zero_grad(set_to_none=True)
    if device.type == "cpu":
        return peak_bytes(run)
    before = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    run()
    return torch.cuda.max_memory_allocated(device) - before


def _table(report: Report, columns: Mapping[int, Column], models: Mapping[str, nn.Module], bench: Bench) -> None:
    report.line("forward and backward: seconds, wall / processor; time over BERT's; peak memory in MB\n")
    heading = ["encoder", *(f"{length}{what}" for length in columns for what in ("", ", / BERT", ", MB"))]
    rows = []
    for name in models:
        row: list[object] = [name]
        for column in columns.values():
            ratio = bench.sound(column.times[name].ratio(column.times[BERT]))
            row += [column.times[name].each(1), ratio, number(column.peaks[name] / 1e6)]
        rows.append(row)
    report.table(heading, rows)


def _targets(report: Report, columns: Mapping[int, Column], bench: Bench) -> None:
    """What the issue of this benchmark promised."""
    for length, column in columns.items():
        units = [name for name in UNITS if name in column.times]
        if units:
            fastest = min(units, key=lambda name: bench.seconds(column.times[name]))
            leanest = min(units, key=lambda name: column.peaks[name])
            for own in OURS:
                _compare_times(report, length, column.times, own, fastest, 0.75, bench)
                _compare_peaks(report, length, column.peaks, own, leanest, 0.5)
        for own in OURS:
            _compare_times(report, length, column.times, own, BERT, None, bench)
            _compare_peaks(report, length, column.peaks, own, BERT, 1.0)
    report.line()


def _compare_times(
    report: Report,
    length: int,
    times: Mapping[str, Times],
    own: str,
    peer: str,
    promised: float | None,
    bench: Bench,
) -> None:
    name = f"{length} tokens, time of {own} / {peer}"
    on_wall = bench.device.type == "cuda"
    report.compare(
        Comparison.of_times(name, times[own], times[peer], peer, promised=promised, at_most=True, on_wall=on_wall)
    )


def _compare_peaks(report: Report, length: int, peaks: Mapping[str, int], own: str, peer: str, promised: float) -> None:
    name = f"{length} tokens, peak of {own} / {peer}"
    report.compare(
        Comparison.of_numbers(
            name, peaks[own] / 1e6, peaks[peer] / 1e6, peer, unit="MB", promised=promised, at_most=True
        )
    )


def _floors(report: Report, columns: Mapping[int, Column], rate: float, bench: Bench) -> None:
    """How far every quadratic unit is from its products alone."""
    for length, column in columns.items():
        floor = bench.tokens * quadratic_flops(bench.size, length) / rate
        over = {name: bench.seconds(column.times[name]) / floor for name in (*OURS, *UNITS) if name in column.times}
        listed = ", ".join(f"{name} {number(ratio)}" for name, ratio in over.items())
        report.line(f"{length} tokens: the products alone take {number(floor)} s; times over that: {listed}")
    report.line()


def _long(report: Report, models: Mapping[str, nn.Module], lengths: Sequence[int], bench: Bench) -> None:
    """Mixed chunk attention where n^2 hurts."""
    if not lengths:
        return
    tokens = max(bench.tokens, *lengths)
    wide = Bench(bench.device, bench.half, bench.rounds, tokens, bench.size)
    times = {
        length: interleaved({n: _passes(m, length, wide) for n, m in models.items()}, 1 + wide.rounds // 4)
        for length in lengths
    }
    rows = [
        [length, *(own[name].each(1e6 / tokens) for name in models), own[MIXED].ratio(own[BERT])]
        for length, own in times.items()
    ]
    report.line("long texts: microseconds a token, wall / processor\n")
    report.table(["length", *models, "ratio"], rows)
    for length, own in times.items():
        _compare_times(report, length, own, MIXED, BERT, {2048: 0.9, 8192: 0.4}.get(length), bench)
    costs = [bench.seconds(own[MIXED]) for own in times.values()]
    name = f"{MIXED}, dearest over cheapest token, {lengths[0]} to {lengths[-1]} tokens"
    report.target(Target(name, max(costs) / min(costs), 1.2, at_most=True))
    report.line()


def _step(report: Report, model: nn.Module, length: int, rate: float, bench: Bench) -> None:
    """A whole training step beside its products."""
    passes = _passes(model, length, bench)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-5)

    def run() -> None:
        passes()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        _wait(bench.device)

    seconds = bench.seconds(interleaved({"step": run}, bench.rounds)["step"])
    floor = bench.tokens * quadratic_flops(bench.size, length) / rate
    report.target(Target(f"{length} tokens, a training step / its products", seconds / floor, 1.4, at_most=True))


if __name__ == "__main__":
    main(sys.argv[1:])
