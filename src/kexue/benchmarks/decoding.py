"""From hidden states to triples: factors looked up at accepted spans, beside dense scores and loops over them.

    python -m kexue.benchmarks.decoding [--predicates 24 48 171] [--lengths 128 256 512] [--threads 1]

Realistic scores come from heads overfitted to a batch of 8 ragged texts with 3 random triples each; both sides
have the same weights, and both must find the same triples. The peer computes heads x length x length, moves it
to numpy and loops over subjects and objects, as all published versions do.

Then the bound: heads as a training begins with them, and heads all of whose scores are above 0. There a peer
would look at billions of pairs, so its time is an estimate: the number of pairs, times the time of a pair in the
first 20,000 of them, and no more than that is claimed.
The floor is reading each text's span scores once, and the arithmetic to make them, at the measured rates.
"""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import torch

from kexue.benchmarks.measuring.comparison import Comparison
from kexue.benchmarks.measuring.machine import Rates
from kexue.benchmarks.measuring.options import begin, make_parser
from kexue.benchmarks.measuring.report import Report, Target
from kexue.benchmarks.measuring.timing import Times, interleaved
from kexue.benchmarks.peers import DenseHeads, dense_heads
from kexue.benchmarks.peers.loops import Scores, Triple, accepted_spans, decode_by_loops
from kexue.benchmarks.synthetic import HIDDEN_DIM, Batch, make_batch, make_head, overfit
from kexue.extraction.decoding import Candidates
from kexue.extraction.heads.gplinker import GPLinker

SAMPLED_PAIRS = 20_000
ABOVE = 1000.0
"""Added to every score so that all are above 0."""


@dataclass(frozen=True)
class Realistic:
    """Times of a batch of texts on both sides, and how many triples each found."""

    times: dict[str, Times]
    num_texts: int
    num_triples: int
    agree: bool
    floor: float


@dataclass(frozen=True)
class Bounded:
    """Times of a batch on our side, what it found, and what a peer would have to look at."""

    times: Times
    num_texts: int
    num_triples: int
    cut: int
    pairs: int
    peer_seconds: float


@torch.inference_mode()
def peer_triples(peer: DenseHeads, batch: Batch) -> list[set[Triple]]:
    """All triples of a batch as peers find them."""
    return [decode_by_loops(scores) for scores in _dense_scores(peer, batch)]


@torch.inference_mode()
def our_triples(head: GPLinker, batch: Batch) -> list[set[Triple]]:
    """All triples of a batch as we find them, in the form of the peers."""
    return [set(_quintuples(found)) for found in head.decode(batch.hidden, batch.mask)]


def measure_realistic(head: GPLinker, batch: Batch, rates: Rates, *, rounds: int) -> Realistic:
    """Both sides in turn; ours three times a round."""
    peer = dense_heads(head)
    ours, theirs = our_triples(head, batch), peer_triples(peer, batch)
    times = interleaved(
        {"ours": partial(_decode, head, batch), "peer": partial(peer_triples, peer, batch)}, rounds, repeats={"ours": 3}
    )
    return Realistic(times, len(batch.links), sum(map(len, ours)), ours == theirs, floor(head, batch, rates))


def measure_bounded(head: GPLinker, batch: Batch, *, rounds: int) -> Bounded:
    """Ours in full; of the peer's loops only the first pairs of the first text."""
    found = _decode(head, batch)
    times = interleaved({"ours": partial(_decode, head, batch)}, rounds)["ours"]
    with torch.inference_mode():
        peer = dense_heads(head)
        texts = list(_dense_scores(peer, batch))
    pairs = sum(len(subjects) * len(objects) for subjects, objects in (accepted_spans(text[0]) for text in texts))
    sampled = min(SAMPLED_PAIRS, max(1, pairs))
    by_pair = interleaved({"peer": partial(decode_by_loops, texts[0], max_pairs=sampled)}, 1)["peer"].median_cpu
    return Bounded(
        times,
        len(batch.links),
        sum(len(text.triples) for text in found),
        sum(bool(text.cut) for text in found),
        pairs,
        by_pair / sampled * pairs,
    )


def floor(head: GPLinker, batch: Batch, rates: Rates) -> float:
    """Seconds a batch needs at least: projections, q.k of the spans above the diagonal, one look at their scores."""
    texts, length = batch.mask.shape
    dim, num_labels = head.spans.head_dim, head.spans.num_labels + 2 * head.starts.num_labels
    project = 3 * HIDDEN_DIM * 2 * dim + 2 * dim * 2 * num_labels
    flops = 2 * texts * length * (project + length * dim / 2)
    return rates.floor(flops, 4 * texts * length * (length * head.spans.num_labels / 2 + 2 * num_labels))


def raise_scores(head: GPLinker) -> GPLinker:
    """The same heads with every score above 0: nothing can be left out."""
    with torch.no_grad():
        for scorer in (head.spans, head.starts, head.ends):
            scorer.row.bias.fill_(2 * ABOVE)
    return head


@torch.inference_mode()
def _decode(head: GPLinker, batch: Batch) -> list[Candidates]:
    return head.decode(batch.hidden, batch.mask)


def _dense_scores(peer: DenseHeads, batch: Batch) -> Iterator[Scores]:
    """The dense scores of each text as numpy arrays."""
    spans, starts, ends = (scores.numpy() for scores in peer(batch.hidden, batch.mask))
    return zip(spans, starts, ends, strict=True)


def _quintuples(found: Candidates) -> Iterator[Triple]:
    for subject, predicate, object in found.triples.tolist():
        _, subject_start, subject_end = found.spans[subject].tolist()
        _, object_start, object_end = found.spans[object].tolist()
        yield subject_start, subject_end, predicate, object_start, object_end


def main(arguments: list[str]) -> Report:
    """Print a table for realistic scores and one for scores that would make peers run for hours."""
    options = _options(arguments)
    report, rates = begin("decoding", options)
    cells = {
        (labels, length): _realistic(labels, length, rates, options)
        for labels in options.predicates
        for length in options.lengths
    }
    peer = dense_heads(make_head(1)).name
    report.line(f"trained scores; peer: {peer} and loops; ms a text, wall / processor\n")
    heading = ["predicates", "length", "ours", "peer", "peer / ours", "floor", "ours / floor", "triples", "same"]
    report.table(heading, [_realistic_row(size, cell) for size, cell in cells.items()])
    for size, cell in cells.items():
        name = f"{size[0]} predicates, length {size[1]}, time of peer / ours"
        promised = 50 if size == (171, 256) else None
        report.compare(
            Comparison.of_times(name, cell.times["ours"], cell.times["peer"], f"{peer} and loops", promised=promised)
        )
    report.line()
    _bound(report, options)
    return report


def _options(arguments: list[str]) -> Namespace:
    parser = make_parser("decoding", __doc__)
    parser.add_argument("--predicates", type=int, nargs="+", default=[24, 48, 171])
    parser.add_argument("--lengths", type=int, nargs="+", default=[128, 256, 512])
    options = parser.parse_args(arguments)
    options.bound, options.steps = (171, 512), 150
    if options.quick:
        options.steps = 5
        options.predicates, options.lengths, options.rounds, options.bound = [5], [24], 1, (3, 16)
    return options


def _realistic(num_predicates: int, length: int, rates: Rates, options: Namespace) -> Realistic:
    torch.manual_seed(options.seed)
    batch = make_batch(num_predicates, length, seed=options.seed)
    head = overfit(make_head(num_predicates), batch, steps=options.steps)
    return measure_realistic(head, batch, rates, rounds=options.rounds)


def _realistic_row(size: tuple[int, int], cell: Realistic) -> list[object]:
    ours, peer = cell.times["ours"], cell.times["peer"]
    a_text = 1e3 / cell.num_texts
    over_floor = ours.median_cpu / cell.floor
    same = "yes" if cell.agree else "NO"
    times = ours.each(a_text), peer.each(a_text), peer.ratio(ours)
    return [*size, *times, a_text * cell.floor, over_floor, cell.num_triples, same]


def _bound(report: Report, options: Namespace) -> None:
    num_predicates, length = options.bound
    report.line(
        f"scores of no trained model; {num_predicates} predicates, length {length}, a batch of 8; s, wall / processor\n"
    )
    prepare: dict[str, Callable[[GPLinker], GPLinker]] = {"untrained": GPLinker.eval, "all above 0": raise_scores}
    rows = []
    for name, change in prepare.items():
        torch.manual_seed(options.seed)
        head = change(make_head(num_predicates))
        cell = measure_bounded(head, make_batch(num_predicates, length, seed=options.seed), rounds=options.rounds)
        rows.append([name, *_bounded_row(cell)])
        slowest = min(max(cell.times.wall), max(cell.times.cpu))
        report.target(Target(f"{name}, slowest round", slowest, 0.5, at_most=True, unit=" s"))
    report.line()
    report.table(["scores", "ours", "triples kept", "texts cut", "pairs of a peer", "its hours, estimated"], rows)


def _bounded_row(cell: Bounded) -> list[object]:
    return [cell.times.each(1), cell.num_triples, cell.cut, f"{cell.pairs:.2g}", cell.peer_seconds / 3600]


if __name__ == "__main__":
    main(sys.argv[1:])
