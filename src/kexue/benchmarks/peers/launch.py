"""Peers' services, started in a Python of their own: they need other versions of packages than ours.

What runs there is `serving.py`. It is told by a file of settings what to serve, and says with one line of JSON that it
does: where, how it is asked, and how fast its bare model is.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from kexue.benchmarks.measuring.load import Call
from kexue.encoders.loading import resolve
from kexue.errors import OptionError
from kexue.extraction.schema import Schema

SCRIPT = Path(__file__).with_name("serving.py")
LEAVE = 60.0
"""Seconds that a service may take to end; Ray has much to tidy up."""
ARCHITECTURE = (
    "vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "hidden_act",
    "max_position_embeddings",
    "type_vocab_size",
)


@dataclass(frozen=True)
class PeerService:
    """One row of the comparison.

    name     in the table
    peer     a key of `serving.PEERS`
    options  of its service
    """

    name: str
    peer: str
    options: Mapping[str, object] = field(default_factory=dict)


def services(threads: int) -> list[PeerService]:
    """What is measured: each peer with all threads in one process, and with a process for each of them.

    Batches of GLiNER's replicas together hold all clients of the default. bert4torch's example has one process.
    """
    spread = [
        PeerService(f"GLiNER, {threads} replicas of 1 thread", "gliner", gliner_options(threads, 1)),
        PeerService(f"bert4torch, {threads} workers of 1 thread", "bert4torch", {"workers": threads}),
    ]
    whole = [
        PeerService(f"GLiNER, 1 replica of {threads} threads", "gliner", gliner_options(1, threads)),
        PeerService(f"bert4torch, 1 worker of {threads} threads", "bert4torch", {"workers": 1}),
    ]
    return sorted(whole + spread if threads > 1 else whole, key=lambda service: service.peer, reverse=True)


def gliner_options(replicas: int, threads: int) -> dict[str, object]:
    """Of its server: what it calls threads of the tokenizer are those of the model, too."""
    batch = max(1, 32 // replicas)
    return {
        "num-replicas": replicas,
        "tokenizer-threads": threads,
        "decoding-threads": 1,
        "max-batch-size": batch,
        "precompiled-batch-sizes": batch,
        "batch-wait-timeout-ms": 5,
    }


@dataclass(frozen=True)
class Started:
    """A service that answers: texts a second of its bare model, one at a time and in batches (where it has them)."""

    address: str
    call: Call
    about: str
    alone: float
    batched: float | None = None


def check_python(python: Path) -> None:
    """Raise `OptionError` for a Python that is not there."""
    if not os.access(python, os.X_OK) or python.is_dir():
        raise OptionError(
            f"--peers-python: {python} is no Python; give that of an environment with the peers' packages"
        )


def model_settings(model: Path, schema: Schema) -> dict[str, object]:
    """What the peers are told of our model; raises `OptionError` for one whose like they do not have."""
    config = json.loads((model / "config.json").read_text("utf-8"))
    encoder = config["encoder"]
    if encoder["model_type"] != "bert" or config["head"] != "gplinker" or not config["efficient"]:
        raise OptionError(
            f"{model}: the peers' services need a GPLinker with efficient heads on a BERT, such as minilm"
        )
    relations = schema.relation_types
    return {
        "checkpoint": str(model.resolve()),
        "encoder": resolve("minilm"),
        "hidden_size": encoder["hidden_size"],
        "bert": {"model": "bert"} | {name: encoder[name] for name in ARCHITECTURE},
        "entities": schema.entity_types,
        "relations": [relation.name for relation in relations],
        "subjects": sorted({name for relation in relations for name in relation.subject_types or schema.entity_types}),
        "objects": sorted({name for relation in relations for name in relation.object_types or schema.entity_types}),
        "span_rotary": config["span_rotary"],
        "link_rotary": config["link_rotary"],
    }


@contextmanager
def started(service: PeerService, python: Path, settings: Mapping[str, object]) -> Iterator[Started]:
    """The peer's service while it is needed; raises `RuntimeError` with what it said if it does not come up."""
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile("w+") as said:
        given = {"folder": folder, "port": free_port(), "peer": service.peer, "options": dict(service.options)}
        path = Path(folder) / "settings.json"
        path.write_text(json.dumps({**settings, **given}), "utf-8")
        command = [str(python), "-P", str(SCRIPT), str(path)]
        environment = os.environ | {"HF_HUB_OFFLINE": "1"}
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=said, text=True, env=environment)
        try:
            yield _announced(process, said)
        finally:
            process.terminate()
            process.communicate(timeout=LEAVE)


def _announced(process: subprocess.Popen[str], said: IO[str]) -> Started:
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith('{"address"'):
            found = json.loads(line)
            call = Call(found["path"], found["fields"])
            return Started(found["address"], call, found["about"], found["alone"], found.get("batched"))
    said.seek(0)
    raise RuntimeError(f"{process.args!r} ended: {said.read()[-2000:]}")


def free_port() -> int:
    """One that nobody listens on now."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return int(bound.getsockname()[1])


def facts_in(answer: Mapping[str, Any]) -> tuple[int, int]:
    """Entities and relations in an answer of ours, whose document leaves out what it has none of, or of a peer."""
    if "documents" in answer:
        (document,) = answer["documents"]
        return len(document.get("entities", ())), len(document.get("relations", ()))
    return len(answer["entities"]), len(answer["relations"])
