"""Heads and loss of GPLinker, forward and backward from hidden states: time and peak memory beside peers.

    python -m kexue.benchmarks.heads [--predicates 24 48 171] [--lengths 128 256 512] [--threads 1]

Batches of 8 ragged texts, 384 wide, 3 triples a text. Ours is the factorised loss (standard heads: the streamed
one); the peers build heads x length x length and compute the multi-hot loss or the published sparse one. All
have the same weights, and the losses are compared. Labels are inputs: neither making them nor their memory counts.
Where a peer would need more than --peer-memory for the batch, it gets the batch in parts, and its peak for the
whole batch, marked with ', is that of a part times the number of parts.

The floor is the arithmetic at the measured rate of a product, each product once forward and twice backward, and
one writing and one reading, there and back, of the factors and of the one length x length matrix a head needs.
"""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from kexue.benchmarks.measuring.comparison import Comparison
from kexue.benchmarks.measuring.machine import Rates
from kexue.benchmarks.measuring.memory import peak_bytes
from kexue.benchmarks.measuring.options import begin, make_parser
from kexue.benchmarks.measuring.report import Report, number
from kexue.benchmarks.measuring.timing import Ratio, Run, Times, interleaved
from kexue.benchmarks.peers import DenseHeads, dense_heads
from kexue.benchmarks.synthetic import HIDDEN_DIM, Batch, make_batch, make_head
from kexue.extraction.heads.gplinker import GPLinker
from kexue.layers.global_pointer import EfficientGlobalPointer, GlobalPointer

COPIES = 6.5
"""Tensors of the size of all scores that the multi-hot loss holds at its peak."""
REPEATS = 3
"""Ours in every round: it is short."""
CASES = ("ours", "sparse", "dense")
STANDARD = ((24, 128), (48, 128), (171, 128))
"""Predicates and lengths at which the standard heads are compared."""
PROMISES: dict[tuple[str, tuple[int, int]], dict[str, float]] = {
    ("efficient", (171, 256)): {"sparse": 60, "dense": 120, "memory": 50},
    ("efficient", (24, 128)): {"sparse": 8, "memory": 7},
}
"""What the issue of this benchmark promised."""


@dataclass(frozen=True)
class Cell:
    """What was measured at one number of predicates and one length."""

    times: dict[str, Times]
    peaks: dict[str, int]
    num_parts: int
    losses: dict[str, float]
    floor: float

    def speedup(self, peer: str) -> Ratio:
        """How many times faster ours is."""
        return self.times[peer].ratio(self.times["ours"])

    def saving(self, peer: str) -> float:
        """How many times less memory ours takes."""
        return self.peaks[peer] / self.peaks["ours"]


def measure(head: GPLinker, batch: Batch, rates: Rates, *, rounds: int, peer_memory: float) -> Cell:
    """Time the three cases in turn, and their peaks once."""
    num_predicates = head.starts.num_labels
    scores = 4 * 2 * num_predicates * batch.mask.shape[1] ** 2 * len(batch.links)
    num_parts = min(len(batch.links), max(1, round(COPIES * scores / (peer_memory * 1e9) + 0.5)))
    parts = list(batch.parts(-(-len(batch.links) // num_parts)))
    peer = dense_heads(head)
    steps: dict[str, list[Callable[[], Tensor]]] = {
        "ours": [_ours(head, batch)],
        "sparse": [_peers(peer, part, peer.sparse_labels, peer.sparse_loss) for part in parts],
        "dense": [_peers(peer, part, peer.dense_labels, peer.dense_loss) for part in parts],
    }
    modules = [head, peer]
    return Cell(
        times=interleaved(
            {name: _all(of_case, modules) for name, of_case in steps.items()}, rounds, repeats={"ours": REPEATS}
        ),
        peaks={name: _peak(of_case[0], modules) * len(of_case) for name, of_case in steps.items()},
        num_parts=len(parts),
        losses={name: sum(_value(step) for step in of_case) / len(of_case) for name, of_case in steps.items()},
        floor=FLOORS[head.starts.__class__](num_predicates, batch.mask.shape[1], len(batch.links), rates),
    )


def efficient_floor(num_predicates: int, length: int, num_texts: int, rates: Rates, *, dim: int = 64) -> float:
    """Seconds of the factorised loss: three projections, three products q.k, and exp(S) exp(c) for all labels."""
    num_labels = 2 + 2 * num_predicates
    project = 3 * HIDDEN_DIM * 2 * dim + 2 * dim * 2 * num_labels
    pairs = 3 * length * dim + length * num_labels
    num_bytes = 2 * 2 * 4 * num_texts * length * (3 * length + 3 * num_labels)
    return rates.floor(3 * 2 * num_texts * length * (project + pairs), num_bytes)


def standard_floor(num_predicates: int, length: int, num_texts: int, rates: Rates, *, dim: int = 64) -> float:
    """Seconds of the streamed loss: a projection and a product q.k for every label; its scores stay in the cache."""
    num_labels = 2 + 2 * num_predicates
    project = HIDDEN_DIM * 2 * dim * num_labels
    pairs = length * dim * num_labels
    num_bytes = 2 * 2 * 4 * num_texts * length * 2 * dim * num_labels
    return rates.floor(3 * 2 * num_texts * length * (project + pairs), num_bytes)


FLOORS = {EfficientGlobalPointer: efficient_floor, GlobalPointer: standard_floor}


def _ours(head: GPLinker, batch: Batch) -> Callable[[], Tensor]:
    targets = batch.targets
    return lambda: head.loss(batch.hidden.detach().requires_grad_(), batch.mask, targets).mean()


def _peers(
    peer: DenseHeads,
    batch: Batch,
    make_labels: Callable[[dict[str, Tensor], list[torch.Size]], list[Tensor]],
    loss: Callable[[list[Tensor], list[Tensor]], Tensor],
) -> Callable[[], Tensor]:
    with torch.no_grad():
        shapes = [scores.shape for scores in peer(batch.hidden, batch.mask)]
    labels = make_labels(batch.targets, shapes)
    return lambda: loss(peer(batch.hidden.detach().requires_grad_(), batch.mask), labels)


def _all(steps: list[Callable[[], Tensor]], modules: list[torch.nn.Module]) -> Run:
    """Forward and backward of every part, the gradients begun anew."""

    def run() -> None:
        for module in modules:
            module.zero_grad(set_to_none=True)
        for step in steps:
            step().backward()

    return run


def _peak(step: Callable[[], Tensor], modules: list[torch.nn.Module]) -> int:
    """Bytes at the peak of one forward and backward, gradients included."""
    for module in modules:
        module.zero_grad(set_to_none=True)
    return peak_bytes(lambda: step().backward())


def _value(step: Callable[[], Tensor]) -> float:
    with torch.no_grad():
        return float(step())


def main(arguments: list[str]) -> Report:
    """Print a table for the efficient heads and one for the standard heads."""
    options = _options(arguments)
    report, rates = begin("heads", options)
    sizes = [(labels, length) for labels in options.predicates for length in options.lengths]
    _compare(report, "efficient", _table(report, "efficient", sizes, rates, options))
    report.line()
    standard = [(4, 16)] if options.quick else list(STANDARD)
    _compare(report, "standard", _table(report, "standard", standard, rates, options))
    return report


def _options(arguments: list[str]) -> Namespace:
    parser = make_parser("heads", __doc__)
    parser.add_argument("--predicates", type=int, nargs="+", default=[24, 48, 171])
    parser.add_argument("--lengths", type=int, nargs="+", default=[128, 256, 512])
    parser.add_argument("--peer-memory", type=float, default=10.0, help="GB that a peer may take at once (default 10)")
    options = parser.parse_args(arguments)
    if options.quick:
        options.predicates, options.lengths, options.rounds = [5], [24], 1
    return options


def _table(
    report: Report, kind: str, sizes: list[tuple[int, int]], rates: Rates, options: Namespace
) -> dict[tuple[int, int], Cell]:
    cells = {}
    for size in sizes:
        torch.manual_seed(options.seed)
        head, batch = make_head(size[0], efficient=kind == "efficient"), make_batch(*size, seed=options.seed)
        cells[size] = measure(head, batch, rates, rounds=options.rounds, peer_memory=options.peer_memory)
    peer = dense_heads(make_head(1)).name
    report.line(f"{kind} heads; peer: {peer}; times: wall / processor, ms; memory: MB\n")
    report.table(
        ["predicates", "length", "ours", "sparse", "dense", "sparse / ours", "dense / ours", "floor", "ours / floor"],
        [_time_row(size, cell) for size, cell in cells.items()],
    )
    report.table(
        ["predicates", "length", "ours", "sparse", "dense", "sparse / ours", "dense / ours", "loss", "sparse", "dense"],
        [_memory_row(size, cell) for size, cell in cells.items()],
    )
    return cells


def _time_row(size: tuple[int, int], cell: Cell) -> list[object]:
    times = [cell.times[name].each(1e3) for name in CASES]
    return [*size, *times, *map(cell.speedup, CASES[1:]), 1e3 * cell.floor, cell.times["ours"].median_cpu / cell.floor]


def _memory_row(size: tuple[int, int], cell: Cell) -> list[object]:
    mark = "'" if cell.num_parts > 1 else ""
    peaks = [number(cell.peaks[name] / 1e6) + (mark if name != "ours" else "") for name in CASES]
    return [*size, *peaks, *map(cell.saving, CASES[1:]), *(f"{cell.losses[name]:.2f}" for name in CASES)]


def _compare(report: Report, kind: str, cells: dict[tuple[int, int], Cell]) -> None:
    """Time beside both losses of the peer, memory beside the leaner one."""
    peer = dense_heads(make_head(1)).name
    for size, cell in cells.items():
        promises = PROMISES.get((kind, size), {})
        name = f"{kind}, {size[0]} predicates, length {size[1]}"
        for loss in CASES[1:]:
            report.compare(
                Comparison.of_times(
                    f"{name}, time of {loss} / ours",
                    cell.times["ours"],
                    cell.times[loss],
                    peer,
                    promised=promises.get(loss),
                )
            )
        report.compare(
            Comparison.of_numbers(
                f"{name}, peak memory of the leaner peer / ours",
                cell.peaks["ours"] / 1e6,
                min(cell.peaks[loss] for loss in CASES[1:]) / 1e6,
                peer,
                unit="MB",
                promised=promises.get("memory"),
            )
        )


if __name__ == "__main__":
    main(sys.argv[1:])
