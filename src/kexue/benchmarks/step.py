"""A whole training step beside the encoder's own forward and backward pass, on the same batches of real text.

    python -m kexue.benchmarks.step [--data FILE] [--encoder minilm] [--batch-size 16] [--threads 1]

The cases, all in training mode, on the same batches of like length:
    encoder     forward and backward of the encoder alone, from a random gradient at its output
    heads       forward and backward of GPLinker's heads and loss alone, from the encoder's states
    update      norm of the gradients, clipping, AdamW, gradients set to zero
    training    `ExtractionTrainer` as `kexue train` runs it: batches made from tokens, forward, backward, update,
                learning rate, moving average, logging; without evaluation and checkpoints

In bfloat16 the encoder runs under autocast, the heads and the loss in float32 as always. Then the share of the
heads in the step for batches of 8 texts without padding, of other sizes. The floor of a step is the encoder
(the ratio 1) and reading and writing the weights once for the update.
"""

from __future__ import annotations

import sys
import tempfile
from argparse import Namespace
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from torch import Tensor
from transformers import PreTrainedModel, TrainerCallback

from kexue.benchmarks.measuring.comparison import Comparison
from kexue.benchmarks.measuring.machine import Rates
from kexue.benchmarks.measuring.options import begin, make_parser
from kexue.benchmarks.measuring.report import Report, Target
from kexue.benchmarks.measuring.timing import Elapsed, Run, Stopwatch, Times, interleaved
from kexue.benchmarks.real import demo_sentences, few_sentences
from kexue.benchmarks.synthetic import make_batch, make_head
from kexue.data import demo_path
from kexue.encoders.loading import load_encoder
from kexue.encoders.windows import WindowBatch
from kexue.extraction.model import ExtractionModel
from kexue.training.extraction.data import load_training_data
from kexue.training.extraction.recipe import ExtractionRecipe
from kexue.training.extraction.run import make_trainer
from kexue.training.extraction.trainer import ExtractionTrainer

PRECISIONS = ("float32", "bfloat16")
CASES = ("encoder", "heads", "update", "training")
WEIGHT_TRAFFIC = 7 * 4
"""Bytes that AdamW moves for a weight: weight, gradient and two moments read, all but the gradient written."""


class _Watch(TrainerCallback):
    """Times the steps after the first one."""

    def __init__(self) -> None:
        self.elapsed = Elapsed(0.0, 0.0)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """The callbacks of the trainer, which come first, belong to the step; what it does at the end does not."""
        if state.global_step == 1:
            self._watch = Stopwatch()
        self.elapsed = self._watch.read()
        control.should_evaluate = control.should_save = False


def measure(trainer: ExtractionTrainer, num_batches: int, *, rounds: int) -> dict[str, Times]:
    """Times of all cases over the same batches, in turn."""
    model: ExtractionModel = trainer.model  # type: ignore[assignment]
    watch = _Watch()
    trainer.add_callback(watch)
    trainer.args.max_steps = num_batches + 1
    trainer.train()
    batches = list(islice(trainer.get_train_dataloader(), num_batches + 1))[1:]
    context = trainer.accelerator.autocast
    optimizer = trainer.create_optimizer()
    states = [_states(model, batch, context) for batch in batches]
    cases: dict[str, Run] = {
        "encoder": _passes([partial(_through_encoder, model.encoder, batch) for batch in batches], model, context),
        "heads": _passes(
            [partial(_through_head, model, own, batch) for own, batch in zip(states, batches, strict=True)],
            model,
            context,
        ),
        "update": partial(_updates, model, optimizer, num_batches),
        "training": partial(_training, trainer, watch),
    }
    return interleaved(cases, rounds, warm_up=False)


def _through_encoder(encoder: PreTrainedModel, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    states = encoder(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).last_hidden_state
    return states, torch.randn_like(states)


def _through_head(model: ExtractionModel, states: Tensor, batch: dict[str, Tensor]) -> tuple[Tensor, None]:
    targets = {name: value for name, value in batch.items() if name.endswith("_positives")}
    return model.head.loss(states.requires_grad_(), batch["mask"], targets).mean(), None


@torch.no_grad()
def _states(model: ExtractionModel, batch: dict[str, Tensor], context: Callable[[], Any]) -> Tensor:
    with context():
        return model.hidden_states(WindowBatch(*(batch.get(name) for name in WindowBatch.__slots__)))


def _passes(
    forwards: Sequence[Callable[[], tuple[Tensor, Tensor | None]]],
    model: torch.nn.Module,
    context: Callable[[], AbstractContextManager[Any]],
) -> Run:
    """Forward and backward over all batches."""

    def run() -> None:
        for forward in forwards:
            with context():
                output, gradient = forward()
            output.backward(gradient)
            model.zero_grad()

    return run


def _updates(model: torch.nn.Module, optimizer: torch.optim.Optimizer, number: int) -> Elapsed:
    """As many updates, with gradients of zero: the arithmetic is the same."""
    wall = cpu = 0.0
    for _ in range(number):
        for parameter in model.parameters():
            parameter.grad = torch.zeros_like(parameter)
        watch = Stopwatch()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        model.zero_grad()
        elapsed = watch.read()
        wall, cpu = wall + elapsed.wall, cpu + elapsed.cpu
    return Elapsed(wall, cpu)


def _training(trainer: ExtractionTrainer, watch: _Watch) -> Elapsed:
    trainer.train()
    return watch.elapsed


def share_of_heads(
    encoder: PreTrainedModel, num_predicates: int, length: int, precision: str, *, rounds: int, seed: int
) -> dict[str, Times]:
    """The encoder and the heads, forward and backward, on a batch of 8 texts of this length."""
    torch.manual_seed(seed)
    batch, head = make_batch(num_predicates, length, seed=seed), make_head(num_predicates)
    targets, hidden = batch.targets, batch.hidden
    inputs = {
        "input_ids": torch.randint(encoder.config.vocab_size, (len(batch.links), length)),
        "attention_mask": torch.ones(len(batch.links), length, dtype=torch.long),
    }
    module = torch.nn.ModuleList([encoder.train(), head])
    context = partial(torch.autocast, "cpu", torch.bfloat16) if precision == "bfloat16" else nullcontext
    return interleaved(
        {
            "encoder": _passes([partial(_through_encoder, encoder, inputs)], module, context),
            "heads": _passes(
                [lambda: (head.loss(hidden.detach().requires_grad_(), batch.mask, targets).mean(), None)],
                module,
                context,
            ),
        },
        rounds,
        repeats={"heads": 3},
    )


def main(arguments: list[str]) -> Report:
    """Print a table of the step and one of the share of the heads."""
    options = _options(arguments)
    report, rates = begin("step", options)
    report.line(f"{options.data.name}, encoder {options.encoder}, {options.batches} batches of {options.batch_size}\n")
    _step(report, rates, options)
    _shares(report, options)
    return report


def _options(arguments: list[str]) -> Namespace:
    parser = make_parser("step", __doc__)
    parser.add_argument(
        "--data", type=Path, default=demo_path("phee", "train"), help="annotated file (default: the demo)"
    )
    parser.add_argument("--encoder", default="minilm", help="name or folder (default minilm, of the extra demo)")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--batches", type=int, default=20, help="batches of a round (default 20)")
    parser.add_argument("--predicates", type=int, nargs="+", default=[24, 48, 171])
    parser.add_argument("--lengths", type=int, nargs="+", default=[128, 256, 512])
    options = parser.parse_args(arguments)
    if options.quick:
        options.encoder, options.batches, options.rounds, options.batch_size = "gau-tiny", 2, 1, 2
        options.predicates, options.lengths = [3], [16]
    return options


def _step(report: Report, rates: Rates, options: Namespace) -> None:
    rows = []
    for precision in PRECISIONS:
        with tempfile.TemporaryDirectory() as folder:
            trainer = _trainer(precision, Path(folder), options)
            times = measure(trainer, options.batches, rounds=options.rounds)
        step, heads = times["training"].ratio(times["encoder"]), times["heads"].ratio(times["training"])
        update = rates.floor(0, WEIGHT_TRAFFIC * sum(value.numel() for value in trainer.model.parameters()))
        floor = 1 + update * options.batches / times["encoder"].median_cpu
        rows.append([precision, *(times[name].each(1e3 / options.batches) for name in CASES), step, floor])
        report.compare(
            Comparison.of_times(
                f"{precision}, step / encoder",
                times["training"],
                times["encoder"],
                "its encoder, forward and backward",
                promised=1.15,
                at_most=True,
            )
        )
        report.target(Target(f"{precision}, heads / step", heads.sound, 0.05, at_most=True))
    report.line("\nms a batch, wall / processor\n")
    report.table(["precision", *CASES, "training / encoder", "its floor"], rows)


def _trainer(precision: str, folder: Path, options: Namespace) -> ExtractionTrainer:
    recipe = ExtractionRecipe.from_values(
        {
            "train": few_sentences(folder) if options.quick else options.data,
            "output": folder,
            "encoder": options.encoder,
            "batch_size": options.batch_size,
            "precision": precision,
            "seed": options.seed,
            "device": "cpu",
        },
        source="benchmark",
    )
    data = load_training_data(recipe)
    return make_trainer(recipe, replace(data, dev=data.dev[:1]), Console(quiet=True))


def _shares(report: Report, options: Namespace) -> None:
    encoder, _ = load_encoder(options.encoder, texts=[document.text for document in demo_sentences(50)])
    encoder.set_attn_implementation("eager")  # as in a training on a CPU
    sizes = [(labels, length) for labels in options.predicates for length in options.lengths]
    report.line("heads and loss in a batch of 8, forward and backward; ms, wall / processor\n")
    for precision in PRECISIONS:
        rows, shares = [], []
        for size in sizes:
            times = share_of_heads(encoder, *size, precision, rounds=options.rounds, seed=options.seed)
            over_encoder = times["heads"].ratio(times["encoder"]).sound
            shares.append(over_encoder / (1 + over_encoder))
            rows.append([*size, times["encoder"].each(1e3), times["heads"].each(1e3), f"{shares[-1]:.1%}"])
        report.table(["predicates", "length", f"encoder, {precision}", "heads and loss", "share of both"], rows)
        report.target(Target(f"{precision}, largest share of the heads", max(shares), 0.05, at_most=True))
        report.line()


if __name__ == "__main__":
    main(sys.argv[1:])
