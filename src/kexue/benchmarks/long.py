"""Documents of 500 to 5,000 tokens: the encoder's cost by windows, time and memory of heads and decoding.

    python -m kexue.benchmarks.long [--model FOLDER] [--lengths 500 1000 2000 5000] [--threads 1]

A document is sentences of the demo data one after the other; the model, where none is given, is trained on the
demo data for --epochs first. Its heads are widened to --predicates relation types, of which those that the
model does not know score below every other. The same is measured with heads as a training begins with them, where
decoding has as much to do as its bounds allow.

Beside the measured memory stands what heads x length x length for spans, starts and ends takes in float32, which
every peer builds; that column is computed, not measured. The floor of the encoder is its cost of a token in the
shortest document: it must not grow.
"""

from __future__ import annotations

import sys
import tempfile
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from kexue.benchmarks.measuring.comparison import Comparison
from kexue.benchmarks.measuring.memory import peak_bytes
from kexue.benchmarks.measuring.options import begin, make_parser
from kexue.benchmarks.measuring.report import Report, Target
from kexue.benchmarks.measuring.timing import Run, Times, interleaved
from kexue.benchmarks.real import add_model_options, long_document, shrink_model, trained_model
from kexue.encoders.tokenization import TextTokenizer
from kexue.encoders.windows import WindowBatch, collate, merge_windows
from kexue.extraction.decoding import Candidates
from kexue.extraction.heads.gplinker import GPLinker
from kexue.extraction.schema import RelationType
from kexue.pipelines.extractor import Extractor

NEVER = -1000.0
"""Added to the scores of predicates that the model does not know."""
LINEAR = 1.15
"""How much more a token may cost the encoder in the longest document than in the shortest."""


@dataclass(frozen=True)
class Row:
    """What was measured on a document of one length."""

    windows: int
    encoded: int
    times: dict[str, Times]
    peaks: dict[str, int]
    dense: int
    found: Candidates

    def milliseconds(self, name: str) -> float:
        """Of the processor, in the median."""
        return 1e3 * self.times[name].median_cpu

    @property
    def per_token(self) -> float:
        """The encoder's milliseconds for each token that it sees: overlaps and special tokens count."""
        return self.milliseconds("encoder") / self.encoded


def widened(head: GPLinker, num_predicates: int) -> GPLinker:
    """The same heads with so many predicates; those that are new are never found."""
    schema = head.labels.schema
    missing = max(0, num_predicates - len(schema.predicates))
    added = tuple(RelationType(f"filler {n}") for n in range(missing))
    labels = replace(head.labels, schema=replace(schema, relation_types=schema.relation_types + added))
    wide = GPLinker(head.spans.project.in_features, labels, head_dim=head.spans.head_dim)
    with torch.no_grad():
        for own, other in ((wide.spans, head.spans), (wide.starts, head.starts), (wide.ends, head.ends)):
            own.project.load_state_dict(other.project.state_dict())
            for mine, its in _label_terms(own, other):
                mine.weight[: len(its.weight)], mine.bias[: len(its.bias)] = its.weight, its.bias
                mine.bias[len(its.bias) :] = NEVER
    return wide.eval()


def _label_terms(*scorers: nn.Module) -> Iterator[tuple[nn.Linear, ...]]:
    for name in ("row", "column"):
        yield tuple(getattr(scorer, name) for scorer in scorers)


def measure(head: GPLinker, encoder: PreTrainedModel, batch: WindowBatch, *, rounds: int) -> Row:
    """Times in turn, peaks once."""
    hidden = _encode(encoder, batch)
    cases: dict[str, Run] = {
        "encoder": partial(_encode, encoder, batch),
        "decoding": partial(_decode, head, hidden, batch.mask),
        "loss": partial(_train, head, hidden, batch.mask),
    }
    num_labels = head.spans.num_labels + 2 * head.starts.num_labels
    return Row(
        windows=len(batch.input_ids),
        encoded=batch.input_ids.numel(),
        times=interleaved(cases, rounds),
        peaks={name: peak_bytes(cases[name]) for name in ("decoding", "loss")},
        dense=4 * num_labels * batch.mask.shape[1] ** 2,
        found=_decode(head, hidden, batch.mask),
    )


@torch.no_grad()
def _encode(encoder: PreTrainedModel, batch: WindowBatch) -> Tensor:
    states = encoder(input_ids=batch.input_ids, attention_mask=batch.attention_mask).last_hidden_state
    return merge_windows(states, batch)


@torch.no_grad()
def _decode(head: GPLinker, hidden: Tensor, mask: Tensor) -> Candidates:
    (found,) = head.decode(hidden, mask)
    return found


def _train(head: GPLinker, hidden: Tensor, mask: Tensor) -> None:
    """Forward and backward of heads and loss; without positives, which cost next to nothing."""
    none = torch.zeros(0, 4, dtype=torch.long)
    targets = dict.fromkeys(("span_positives", "start_positives", "end_positives"), none)
    head.loss(hidden.detach().requires_grad_(), mask, targets).sum().backward()
    head.zero_grad(set_to_none=True)


def main(arguments: list[str]) -> Report:
    """Print a table for trained heads and one for untrained heads."""
    options = _options(arguments)
    report, _ = begin("long", options)
    with tempfile.TemporaryDirectory() as folder:
        if options.quick:
            shrink_model(options, Path(folder))
        extractor = Extractor.from_pretrained(trained_model(Path(folder) / "model", options), device="cpu")
    wide = widened(extractor.model.head, options.predicates)
    fresh = GPLinker(wide.spans.project.in_features, wide.labels).eval()
    for name, head in (("trained", wide), ("untrained", fresh)):
        rows = {length: _row(extractor, head, length, options) for length in options.lengths}
        _print(report, name, rows, options)
    return report


def _options(arguments: list[str]) -> Namespace:
    parser = make_parser("long", __doc__)
    add_model_options(parser)
    parser.add_argument("--lengths", type=int, nargs="+", default=[500, 1000, 2000, 5000])
    parser.add_argument("--predicates", type=int, default=171)
    options = parser.parse_args(arguments)
    if options.quick:
        options.lengths, options.predicates, options.rounds = [100, 300], 6, 1
    return options


def _row(extractor: Extractor, head: GPLinker, length: int, options: Namespace) -> Row:
    tokenizer: TextTokenizer = extractor.tokenizer
    config = extractor.model.config
    batch = collate([long_document(tokenizer, length)], tokenizer, window=config.window, overlap=config.overlap)
    return measure(head, extractor.model.encoder, batch, rounds=options.rounds)


def _print(report: Report, name: str, rows: dict[int, Row], options: Namespace) -> None:
    report.line(f"{name} heads, {options.predicates} predicates, one document; processor ms, MB\n")
    report.table(
        ["tokens", "windows", "encoder", "a token", "heads and decoding", "share", "spans", "triples", "cut",
         "MB", "heads and loss", "MB", "MB of dense scores, computed"],
        [_cells(length, row) for length, row in rows.items()],
    )  # fmt: skip
    shortest, longest = rows[min(rows)], rows[max(rows)]
    what = f"encoder time of a token, {max(rows)} / {min(rows)} tokens"
    report.target(Target(what, longest.per_token / shortest.per_token, LINEAR, at_most=True))
    for length, row in rows.items():
        report.compare(
            Comparison.of_numbers(
                f"{name} heads, {length} tokens, dense scores / peak of the loss",
                row.peaks["loss"] / 1e6,
                row.dense / 1e6,
                "dense scores, computed",
                unit="MB",
            )
        )
    report.line()


def _cells(length: int, row: Row) -> list[object]:
    encoder, decoding = row.milliseconds("encoder"), row.milliseconds("decoding")
    return [
        length,
        row.windows,
        encoder,
        row.per_token,
        decoding,
        f"{decoding / (encoder + decoding):.1%}",
        len(row.found.spans),
        len(row.found.triples),
        row.found.cut or "no",
        row.peaks["decoding"] / 1e6,
        row.milliseconds("loss"),
        row.peaks["loss"] / 1e6,
        row.dense / 1e6,
    ]


if __name__ == "__main__":
    main(sys.argv[1:])
