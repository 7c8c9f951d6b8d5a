"""The options that all benchmarks share, and what they set."""

from __future__ import annotations

import argparse
import os
from datetime import date

import torch
from transformers.utils import logging

from kexue.benchmarks.measuring.machine import Rates, describe, measure_rates
from kexue.benchmarks.measuring.report import Report


def bare_parser(name: str, description: str | None) -> argparse.ArgumentParser:
    """A parser that knows its benchmark's name and shows its docstring as it stands."""
    return argparse.ArgumentParser(
        prog=f"python -m kexue.benchmarks.{name}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def make_parser(name: str, description: str | None) -> argparse.ArgumentParser:
    """The same with the options that all benchmarks of time share."""
    parser = bare_parser(name, description)
    parser.add_argument("--threads", type=int, default=1, help="threads of every case (default 1)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds, of which the median counts (default 5)")
    parser.add_argument("--seed", type=int, default=0, help="of everything that is drawn (default 0)")
    parser.add_argument(
        "--quick", action="store_true", help="tiny sizes, to see that it runs; the numbers mean nothing"
    )
    return parser


def begin(name: str, options: argparse.Namespace) -> tuple[Report, Rates]:
    """Set threads and seed, print on what and how it is measured, and measure the machine."""
    torch.set_num_threads(options.threads)
    os.environ["RAYON_NUM_THREADS"] = str(options.threads)  # the tokenizers' threads
    os.environ["TOKENIZERS_PARALLELISM"] = "true" if options.threads > 1 else "false"
    torch.manual_seed(options.seed)
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    report = Report()
    rates = measure_rates(2 if options.quick else 7)
    report.line(f"kexue.benchmarks.{name}, {date.today()}, seed {options.seed}, {options.rounds} rounds")
    report.line(describe())
    report.line(f"measured: {rates.flops / 1e9:.0f} GFLOP/s in a product, {rates.bandwidth / 1e9:.0f} GB/s in a copy\n")
    return report, rates
