"""Requests a second of `kexue serve`, beside one model call after the other; and what it does under too many.

    python -m kexue.benchmarks.serve [--model FOLDER] [--clients 32] [--seconds 10] [--latency 1.0]

Sentences of the demo data. Clients each ask for one text and ask again once they have their answer, from a process of
their own; the comparison is the same model called with one text after the other in a process of its own. Then ten times
as many clients ask for --overload seconds without heeding Retry-After: what is refused, how fast, how long accepted
requests took, whether memory grows, and how soon after the last of them a lone request is answered.
"""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import tempfile
import time
from argparse import Namespace
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import numpy as np

from kexue.benchmarks.measuring.comparison import Comparison
from kexue.benchmarks.measuring.options import begin, make_parser
from kexue.benchmarks.measuring.report import Report, Target
from kexue.benchmarks.real import add_model_options, demo_sentences, shrink_model, trained_model
from kexue.pipelines.extractor import Extractor

TIMES = 10  # as many clients as in the first part, to overload
PATIENCE = 30.0
ALONE_SPREAD = 0.1
"""Assumed of the ratio: the two are measured once, one after the other, on the wall."""


@dataclass
class Seen:
    """Answers to clients: seconds by status."""

    seconds: dict[int, list[float]] = field(default_factory=dict)

    def add(self, status: int, seconds: float) -> None:
        """One more answer."""
        self.seconds.setdefault(status, []).append(seconds)

    def count(self, status: int) -> int:
        """Answers of a status."""
        return len(self.seconds.get(status, []))

    def quantile(self, status: int, share: float) -> float:
        """Seconds within which such a share of the answers came; 0 where there are none."""
        return float(np.quantile(self.seconds.get(status) or [0.0], share))


@contextmanager
def serving(model: Path, options: Namespace) -> Iterator[tuple[str, int]]:
    """The address and the process of a service of the model."""
    command = [sys.executable, "-m", "kexue.cli", "serve", str(model), "--port", "0", "--device", "cpu"]
    environment = os.environ | {"OMP_NUM_THREADS": str(options.threads)}
    command += ["--latency", str(options.latency)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
    try:
        assert process.stderr is not None
        said = ""
        for line in process.stderr:
            said += line
            if address := re.search(r"http://\S+", line):
                yield address[0], process.pid
                return
        raise RuntimeError(said)
    finally:
        process.terminate()
        process.wait(PATIENCE)


async def ask(address: str, texts: Sequence[str], clients: int, seconds: float) -> Seen:
    """So many clients, each with one request at a time, for so long."""
    seen, end = Seen(), time.monotonic() + seconds
    limits = httpx.Limits(max_connections=clients, max_keepalive_connections=clients)
    async with httpx.AsyncClient(base_url=address, limits=limits, timeout=PATIENCE) as client:

        async def one(number: int) -> None:
            while time.monotonic() < end:
                began = time.monotonic()
                answer = await client.post("/extract", json={"text": texts[number % len(texts)]})
                seen.add(answer.status_code, time.monotonic() - began)
                number += clients
                if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE:
                    await asyncio.sleep(0.05)  # a client that does not heed Retry-After

        await asyncio.gather(*map(one, range(clients)))
    return seen


def one_at_a_time(model: Path, texts: Sequence[str], seconds: float) -> float:
    """Texts a second of the same model, called with one after the other."""
    extractor = Extractor.from_pretrained(model, device="cpu")
    extractor(texts[0])
    began, done = time.monotonic(), 0
    while time.monotonic() < began + seconds:
        extractor(texts[done % len(texts)])
        done += 1
    return done / (time.monotonic() - began)


def resident_megabytes(process: int) -> float:
    """Memory of a process."""
    status = Path(f"/proc/{process}/status").read_text("utf-8")
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    return int(found[1]) / 1024 if found else float("nan")


def recovery(address: str, text: str) -> float:
    """Seconds until a lone request is answered."""
    began = time.monotonic()
    while httpx.post(f"{address}/extract", json={"text": text}, timeout=PATIENCE).status_code != httpx.codes.OK:
        time.sleep(0.02)
    return time.monotonic() - began


def measure(report: Report, model: Path, options: Namespace) -> None:
    """Throughput, then overload."""
    texts = [document.text for document in demo_sentences(512)]
    alone = one_at_a_time(model, texts, options.seconds)
    with serving(model, options) as (address, process):
        asyncio.run(ask(address, texts, options.clients, options.seconds / 4))
        seen = asyncio.run(ask(address, texts, options.clients, options.seconds))
        before = resident_megabytes(process)
        flood = asyncio.run(ask(address, texts, TIMES * options.clients, options.overload))
        back, after = recovery(address, texts[0]), resident_megabytes(process)
    rate = seen.count(200) / options.seconds
    report.table(
        ("clients", "requests a second", "median s", "p99 s", "refused", "p99 s of refusals"),
        [
            ("one after the other, no service", alone, 1 / alone, "", "", ""),
            *(
                (clients, each.count(200) / seconds, each.quantile(200, 0.5), each.quantile(200, 0.99),
                 each.count(503), each.quantile(503, 0.99))
                for clients, each, seconds in (
                    (options.clients, seen, options.seconds),
                    (TIMES * options.clients, flood, options.overload),
                )
            ),
        ],
    )  # fmt: skip
    report.line(f"memory of the service: {before:.0f} MB before the overload, {after:.0f} MB after it")
    report.compare(
        Comparison(
            "requests a second / one model call at a time",
            "its model, called with one text after the other",
            1 / max(rate, 1e-9),
            1 / alone,
            rate / alone,
            ALONE_SPREAD,
            3.0,
            unit="s a request",
        )
    )
    for target in (
        Target("overload, p99 of accepted", flood.quantile(200, 0.99), 2 * options.latency, at_most=True, unit=" s"),
        Target("overload, p99 of refusals", flood.quantile(503, 0.99), 0.05, at_most=True, unit=" s"),
        Target("overload, memory after / before", after / before, 1.05, at_most=True),
        Target("answered again after", back, 2.0, at_most=True, unit=" s"),
    ):
        report.target(target)


def main(arguments: list[str]) -> Report:
    """Measure, and print what holds."""
    parser = make_parser("serve", __doc__)
    add_model_options(parser)
    parser.add_argument("--clients", type=int, default=32, help="that ask at once (default 32)")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each measurement (default 10)")
    parser.add_argument("--overload", type=float, default=60.0, help="seconds of ten times as many (default 60)")
    parser.add_argument("--latency", type=float, default=1.0, help="budget of the service (default 1 s)")
    options = parser.parse_args(arguments)
    report, _ = begin("serve", options)
    with tempfile.TemporaryDirectory() as folder:
        if options.quick:
            shrink_model(options, Path(folder))
            options.clients, options.seconds, options.overload = 2, 0.5, 0.5
        measure(report, trained_model(Path(folder) / "model", options), options)
    return report


if __name__ == "__main__":
    main(sys.argv[1:])
