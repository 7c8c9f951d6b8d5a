"""A training step with a regulariser against plain steps: time, and peak memory.

    python -m kexue.benchmarks.regularizers [--data FILE ...] [--encoder minilm] [--batch-size 16] [--threads 1]

A step is forward, backward, clipping and AdamW, by `ExtractionTrainer` on the same batches of like length. The model is
trained for `--warm-up` plain steps first, since the cost of the divergence depends on how many pairs are undecided
(0: from scratch). R-Drop runs a batch twice as one doubled batch, so its time is compared with two plain steps on the
batch, and its memory with a plain step on a batch twice as large; the other regularisers with one plain step.
"""

from __future__ import annotations

import sys
import tempfile
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch import Tensor
from transformers import TrainerCallback

from kexue.benchmarks.measuring.comparison import Comparison
from kexue.benchmarks.measuring.memory import peak_bytes
from kexue.benchmarks.measuring.options import begin, make_parser
from kexue.benchmarks.measuring.report import Report
from kexue.benchmarks.measuring.timing import Run, Times, interleaved
from kexue.benchmarks.real import few_sentences
from kexue.data import demo_path
from kexue.training.extraction.data import load_training_data
from kexue.training.extraction.recipe import ExtractionRecipe
from kexue.training.extraction.run import make_trainer
from kexue.training.extraction.trainer import ExtractionTrainer
from kexue.training.regularizers import Regularizer, make_regularizers

CASES: dict[str, Any] = {
    "plain": None,
    "R-Drop": "rdrop",
    "R-Drop, softmax": {"name": "rdrop", "divergence": "softmax"},
    "R-Drop, squared": {"name": "rdrop", "divergence": "squared"},
    "FGM": "fgm",
    "VAT": "vat",
}
"""What is timed; values as in a recipe."""
PRECISIONS = ("float32", "bfloat16")


class _WithoutMeasures(TrainerCallback):
    """Neither evaluates nor writes checkpoints."""

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Take back what the trainer's own callback asked for."""
        control.should_evaluate = control.should_save = False


def measure(trainer: ExtractionTrainer, options: Namespace) -> tuple[dict[str, Times], dict[str, int], list[int]]:
    """Times of all cases over the same batches, in turn; peaks on the longest one, and the lengths of the batches."""
    trainer.add_callback(_WithoutMeasures())
    trainer.args.max_steps = max(1, options.warm_up)
    trainer.train()
    batches = list(islice(trainer.get_train_dataloader(), options.batches))
    made = {name: make_regularizers(values) for name, values in CASES.items()}
    cases: dict[str, Run] = {name: partial(_steps, trainer, batches, own) for name, own in made.items()}
    times = interleaved(cases, options.rounds)
    longest = [max(batches, key=lambda batch: batch["mask"].numel())]
    peaks = {name: peak_bytes(partial(_steps, trainer, longest, own)) for name, own in made.items()}
    peaks["plain, twice the batch"] = peak_bytes(partial(_steps, trainer, [trainer.doubled(longest[0])], ()))
    return times, peaks, [batch["mask"].shape[1] for batch in batches]


def _steps(
    trainer: ExtractionTrainer, batches: Sequence[dict[str, Tensor]], regularizers: tuple[Regularizer, ...]
) -> None:
    """A step on every batch; the rate is 0, so that all cases see the same weights."""
    optimizer = trainer.create_optimizer()
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    trainer.regularizers = regularizers
    for batch in batches:
        trainer.training_step(trainer.model, batch)
        torch.nn.utils.clip_grad_norm_(trainer.model.parameters(), 1.0)
        optimizer.step()
        trainer.model.zero_grad()


def main(arguments: list[str]) -> Report:
    """Print a table for each file and precision."""
    options = _options(arguments)
    report, _ = begin("regularizers", options)
    for precision in PRECISIONS:
        for data in options.data:
            with tempfile.TemporaryDirectory() as folder:
                _report(report, data, precision, Path(folder), options)
    return report


def _options(arguments: list[str]) -> Namespace:
    parser = make_parser("regularizers", __doc__)
    parser.add_argument(
        "--data", type=Path, nargs="+", default=[demo_path("phee", "train")], help="annotated files (default: the demo)"
    )
    parser.add_argument("--encoder", default="minilm", help="name or folder (default minilm, of the extra demo)")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--batches", type=int, default=5, help="batches of a round (default 5)")
    parser.add_argument("--warm-up", type=int, default=60, help="plain steps before anything is measured (default 60)")
    parser.add_argument("--packing", type=float, default=0.5, help="share of texts that are joined, as in a recipe")
    options = parser.parse_args(arguments)
    if options.quick:
        options.encoder, options.batches, options.rounds, options.batch_size, options.warm_up = "gau-tiny", 1, 1, 2, 1
    return options


def _report(report: Report, data: Path, precision: str, folder: Path, options: Namespace) -> None:
    trainer = _trainer(data, precision, folder, options)
    labels = trainer.model.head.labels
    times, peaks, lengths = measure(trainer, options)
    report.line(
        f"{data.name}, {len(labels.schema.predicates)} relation types, {precision}, encoder {options.encoder}, "
        f"{len(lengths)} batches of {options.batch_size}, tokens {', '.join(map(str, lengths))}; "
        "times of a step: wall / processor, ms; memory: MB\n"
    )
    report.table(
        ["case", "time", "of plain's", "memory", "of plain's"],
        [
            [
                name,
                own.each(1e3 / len(lengths)),
                own.ratio(times["plain"]),
                peaks[name] / 1e6,
                peaks[name] / peaks["plain"],
            ]
            for name, own in times.items()
        ],
    )
    where = f"{data.name}, {precision}, "
    two = times["plain"].scaled(2)
    report.compare(
        Comparison.of_times(
            f"{where}time of R-Drop / two plain steps", times["R-Drop"], two, "plain steps", promised=1.1, at_most=True
        )
    )
    report.compare(
        Comparison.of_numbers(
            f"{where}memory of R-Drop / a plain step of twice the batch",
            peaks["R-Drop"] / 1e6,
            peaks["plain, twice the batch"] / 1e6,
            "plain steps",
            unit="MB",
            promised=1.05,
            at_most=True,
        )
    )
    report.line()


def _trainer(data: Path, precision: str, folder: Path, options: Namespace) -> ExtractionTrainer:
    recipe = ExtractionRecipe.from_values(
        {
            "train": few_sentences(folder) if options.quick else data,
            "output": folder,
            "encoder": options.encoder,
            "batch_size": options.batch_size,
            "packing": options.packing,
            "precision": precision,
            "seed": options.seed,
            "device": "cpu",
        },
        source="benchmark",
    )
    read = load_training_data(recipe)
    return make_trainer(recipe, replace(read, dev=read.dev[:1]), Console(quiet=True))


if __name__ == "__main__":
    main(sys.argv[1:])
