"""Requests a second of `kexue serve`, beside one model call after the other; and what it does under too many.

    python -m kexue.benchmarks.serve [--model FOLDER] [--clients 32] [--seconds 10] [--latency 1.0]
                                    [--peers-python PYTHON]

Short sentences of the demo data. Clients each ask for one text and ask again once they have their answer, from a
process of their own; the comparison is the same model called with one text after the other. Then for --overload seconds
ten times as many requests come as were answered: what is refused, how fast, how long accepted requests took, whether
memory grows, and how soon after the last of them a lone request is answered.

With --peers-python, the Python of an environment with gliner, ray[serve], bert4torch 0.6.0 and sanic, the services of
GLiNER and bert4torch get the same texts from the same clients, each alone on the machine (`peers/serving.py`).
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
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from kexue.benchmarks.measuring.comparison import Comparison
from kexue.benchmarks.measuring.load import EXTRACT, PATIENCE, Call, Seen, steady_rate, waiting_clients
from kexue.benchmarks.measuring.options import begin, make_parser
from kexue.benchmarks.measuring.report import Report, Target
from kexue.benchmarks.peers.launch import check_python, facts_in, model_settings, services, started
from kexue.benchmarks.real import add_model_options, demo_sentences, shrink_model, trained_model
from kexue.extraction.model import ExtractionConfig
from kexue.extraction.schema import Schema
from kexue.pipelines.extractor import Extractor

OK, BUSY = httpx.codes.OK, httpx.codes.SERVICE_UNAVAILABLE
MANY = 968
TIMES = 10
"""How much more than it can do a service is asked for, to overload it."""
CONNECTIONS = 512
FACTS = 64
"""Texts whose answers are read."""
LONGEST = 80
"""Characters of a short text."""
BESIDE_PEERS = 2.0
"""Promised of ours beside each setting of each peer."""
ALONE_SPREAD = 0.1
"""Assumed of the ratio: the two are measured once, one after the other, on the wall."""


@contextmanager
def serving(model: Path, options: Namespace) -> Iterator[tuple[str, int]]:
    """The address and the process of a service of the model."""
    command = [sys.executable, "-m", "kexue", "serve", str(model), "--port", "0", "--device", "cpu"]
    environment = os.environ | {"OMP_NUM_THREADS": str(options.threads)}
    command += ["--latency", str(options.latency), "--dtype", options.dtype]
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


def one_at_a_time(model: Path, texts: Sequence[str], options: Namespace) -> float:
    """Texts a second of the same model, called with one after the other."""
    extractor = Extractor.from_pretrained(model, device="cpu", dtype=options.dtype)
    extractor.extract(texts[:8])
    began, done = time.monotonic(), 0
    while time.monotonic() < began + options.seconds:
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
    while httpx.post(f"{address}/extract", json={"text": text}, timeout=PATIENCE).status_code != OK:
        time.sleep(0.02)
    return time.monotonic() - began


@dataclass(frozen=True)
class Loaded:
    """What clients that wait saw of a service."""

    seen: Seen
    seconds: float
    busy: float
    """Share of a core that the clients themselves took."""
    facts: tuple[float, float]
    """Entities and relations in the answer to a text."""
    alone: float
    """Texts a second of its bare model, called with one after the other."""
    batched: float | None = None
    """The same, called with batches, where it has them."""

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.seen.count(OK) / self.seconds


def loaded(
    address: str,
    texts: Sequence[str],
    options: Namespace,
    *,
    call: Call = EXTRACT,
    alone: float,
    batched: float | None = None,
) -> Loaded:
    """A service under clients that wait, once it is warm and has given answers that hold entities and relations."""
    asyncio.run(waiting_clients(address, texts, options.clients, options.seconds / 4, call))
    counts = [facts_in(answer(address, text, call)) for text in texts[:FACTS]]
    before = time.process_time()
    seen = asyncio.run(waiting_clients(address, texts, options.clients, options.seconds, call))
    busy = (time.process_time() - before) / options.seconds
    entities, relations = (sum(numbers) / len(counts) for numbers in zip(*counts, strict=True))
    return Loaded(seen, options.seconds, busy, (entities, relations), alone, batched)


def answer(address: str, text: str, call: Call) -> dict[str, Any]:
    """What a service says about a text; raises unless it is JSON with status 200."""
    came = httpx.post(f"{address}{call.path}", json=call.body(text), timeout=PATIENCE).raise_for_status()
    found: dict[str, Any] = came.json()
    return found


def peer_settings(model: Path, texts: Sequence[str], options: Namespace) -> dict[str, object] | None:
    """What the peers are told, before anything is measured; None where there are none."""
    if options.peers_python is None:
        return None
    told = model_settings(model, Schema.from_json(ExtractionConfig.from_pretrained(model).schema))
    return told | {"texts": texts, "threads": options.threads, "seconds": options.seconds, "seed": options.seed}


def measure_peers(
    report: Report, settings: Mapping[str, object] | None, texts: Sequence[str], ours: Loaded, options: Namespace
) -> None:
    """The peers' services, one after the other, under the clients that ours had."""
    if settings is None:
        report.line("peers: left out, as no --peers-python was given")
        return
    rows = [("kexue serve", *_peer_columns(ours))]
    found = []
    for service in services(options.threads):
        with started(service, options.peers_python, settings) as peer:
            theirs = loaded(peer.address, texts, options, call=peer.call, alone=peer.alone, batched=peer.batched)
        report.line(f"{service.name}: {peer.about}")
        rows.append((service.name, *_peer_columns(theirs)))
        found.append((service, theirs))
    report.table(
        (
            f"{options.clients} clients that wait",
            "its model without service, texts a second",
            "in batches of 32",
            "answered a second",
            "median s",
            "p99 s",
            "other answers",
            "entities a text",
            "relations",
            "clients' share of a core",
        ),
        rows,
    )
    for service, theirs in found:
        name = f"requests a second / {service.name}"
        report.compare(_by_rate(name, service.name, ours.rate, theirs.rate, BESIDE_PEERS))


def _by_rate(name: str, peer: str, ours: float, theirs: float, promised: float) -> Comparison:
    """Of requests a second."""
    seconds, others = 1 / max(ours, 1e-9), 1 / max(theirs, 1e-9)
    return Comparison(name, peer, seconds, others, others / seconds, ALONE_SPREAD, promised, unit="s a request")


def _peer_columns(loaded: Loaded) -> tuple[object, ...]:
    seen = loaded.seen
    quantiles = (seen.quantile(OK, 0.5), seen.quantile(OK, 0.99))
    bare = (loaded.alone, loaded.batched or "")
    return (*bare, loaded.rate, *quantiles, seen.others(OK), *loaded.facts, loaded.busy)


def measure(report: Report, model: Path, options: Namespace) -> None:
    """Throughput, then overload."""
    texts = [text for each in demo_sentences(MANY) if len(text := each.text) <= options.longest]
    told = peer_settings(model, texts, options)
    alone = one_at_a_time(model, texts, options)
    with serving(model, options) as (address, process):
        ours = loaded(address, texts, options, alone=alone)
        seen, rate = ours.seen, ours.rate
        asyncio.run(steady_rate(address, texts, TIMES * rate, options.overload / 10, CONNECTIONS))
        before = resident_megabytes(process)
        flood = asyncio.run(steady_rate(address, texts, TIMES * rate, options.overload, CONNECTIONS))
        back, after = recovery(address, texts[0]), resident_megabytes(process)
    report.table(
        ("", "answered a second", "median s", "p99 s", "refused a second", "p99 s of refusals", "lost"),
        [
            ("one after the other, no service", alone, 1 / alone, "", "", "", ""),
            _row(f"{options.clients} clients that wait", seen, options.seconds),
            _row(f"{TIMES * rate:.0f} requests a second", flood, options.overload),
        ],
    )
    report.line(f"{len(texts)} texts of at most {options.longest} characters, {options.dtype}")
    report.line(f"memory of the service: {before:.0f} MB after a tenth of the overload, {after:.0f} MB after all of it")
    one_call = "its model, called with one text after the other"
    report.compare(_by_rate("requests a second / one model call at a time", one_call, rate, alone, 3.0))
    for target in (
        Target("p99 of the clients that wait", seen.quantile(OK, 0.99), 1.5 * options.latency, at_most=True, unit=" s"),
        Target("overload, p99 of accepted", flood.quantile(OK, 0.99), 1.5 * options.latency, at_most=True, unit=" s"),
        Target("overload, p99 of refusals", flood.quantile(BUSY, 0.99), 0.05, at_most=True, unit=" s"),
        Target("overload, memory after / before", after / before, 1.05, at_most=True),
        Target("answered again after", back, 2.0, at_most=True, unit=" s"),
    ):
        report.target(target)
    measure_peers(report, told, texts, ours, options)


def _row(name: str, seen: Seen, seconds: float) -> tuple[object, ...]:
    return (
        name,
        seen.count(OK) / seconds,
        seen.quantile(OK, 0.5),
        seen.quantile(OK, 0.99),
        seen.count(BUSY) / seconds,
        seen.quantile(BUSY, 0.99),
        seen.others(OK, BUSY),
    )


def main(arguments: list[str]) -> Report:
    """Measure, and print what holds."""
    parser = make_parser("serve", __doc__)
    add_model_options(parser)
    parser.add_argument("--clients", type=int, default=32, help="that ask at once (default 32)")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each measurement (default 10)")
    parser.add_argument("--overload", type=float, default=60.0, help="seconds of the overload (default 60)")
    parser.add_argument("--latency", type=float, default=1.0, help="budget of the service (default 1 s)")
    parser.add_argument("--longest", type=int, default=LONGEST, help=f"text at most (default {LONGEST} characters)")
    parser.add_argument("--dtype", default="float32", help="of both sides (default float32)")
    parser.add_argument("--peers-python", type=Path, help="Python of an environment with the peers (default: no peers)")
    options = parser.parse_args(arguments)
    if options.peers_python is not None:
        check_python(options.peers_python)
    report, _ = begin("serve", options)
    with tempfile.TemporaryDirectory() as folder:
        if options.quick:
            shrink_model(options, Path(folder))
            options.clients, options.seconds, options.overload = 2, 0.5, 0.5
        measure(report, trained_model(Path(folder) / "model", options), options)
    return report


if __name__ == "__main__":
    main(sys.argv[1:])
