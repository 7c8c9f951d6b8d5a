"""The models of a service: each is loaded once, has a name, and works in a thread of its own."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch

from kexue.cards import dev_report
from kexue.diffusion.checkpoint import holds_generator
from kexue.errors import OptionError, unknown
from kexue.extraction.document import Document
from kexue.ops.device import choose_device
from kexue.pipelines.extractor import Extractor
from kexue.pipelines.generator import Generator
from kexue.pipelines.hub import named_model
from kexue.pipelines.suggestions import doubts, total
from kexue.server.batcher import Batcher
from kexue.server.drawings import GeneratorHost
from kexue.server.host import Host

WARM_UP = ("A short text to measure the speed of this machine by.", "用来测量速度的短文本。") * 4
BATCHES = 4  # at the same time on a CPU, at most: small products gain less from a core more than a second batch does
PER_TEXT = 64  # characters' worth of work that a text costs whatever its length


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """A text, and the confidence from which facts are reported; the model's own thresholds where None.

    `weigh`: whether `meta["uncertainty"]` of the document is to say how many bits its annotation would tell.
    """

    text: str
    threshold: float | None = None
    weigh: bool = False


class ExtractorHost(Host[Question, Document]):
    """An extractor whose requests are answered in batches."""

    job = "extraction"

    def __init__(self, name: str, extractor: Extractor, *, latency: float, batches: int = 1) -> None:
        self.extractor = extractor
        began = time.monotonic()
        extractor.extract(WARM_UP)  # the first pass is slower: libraries load what they need
        rate = sum(len(text) + PER_TEXT for text in WARM_UP) / (time.monotonic() - began)
        batcher = Batcher(self._answer, _cost, budget=latency, rate=rate, threads=batches)
        super().__init__(name, batcher)

    @property
    def version(self) -> str:
        """Its name and the beginning of its fingerprint: another model has another version."""
        return f"{self.name}-{self.extractor.fingerprint[:12]}"

    def _answer(self, questions: list[Question]) -> list[Document]:
        documents = [Document("")] * len(questions)
        for found in self.extractor.candidates([question.text for question in questions]):
            question = questions[found.index]
            document = self._view(question.threshold).document(question.text, found)
            if question.weigh:
                document.meta["uncertainty"] = total(doubts(self.extractor, question.text, found))
            documents[found.index] = document
        return documents

    def _view(self, threshold: float | None) -> Extractor:
        return self.extractor if threshold is None else self.extractor.with_threshold(threshold)

    def describe(self) -> dict[str, Any]:
        """What a client may want to know of the model."""
        schema, decision = self.extractor.schema, self.extractor.decision
        return {
            "name": self.name,
            "job": self.job,
            "entity_types": list(schema.entity_types),
            "entity_threshold": decision.entity_threshold,
            "relations": [
                {
                    "name": relation.name,
                    "subject_types": list(relation.subject_types),
                    "object_types": list(relation.object_types),
                    "threshold": decision.threshold(relation.name),
                }
                for relation in schema.relation_types
            ],
            "dev": {
                kind: {name: score for name, score in scores.items() if name != "by_label"}
                for kind, scores in dev_report(self.extractor.metrics).items()
                if isinstance(scores, dict)
            },
        }


def _cost(question: Question) -> float:
    return len(question.text) + PER_TEXT


AnyHost = ExtractorHost | GeneratorHost
H = TypeVar("H", ExtractorHost, GeneratorHost)


def load_hosts(
    models: Sequence[str],
    *,
    latency: float,
    device: str | None = None,
    dtype: str = "float32",
    compile: bool = False,
) -> dict[str, AnyHost]:
    """The hosts of `FOLDER` or `NAME=FOLDER` arguments by name.

    On a CPU an extractor works on several batches at the same time, each with its part of the cores.

    Raises `OptionError` for two models of one name, `CheckpointError` for a folder that is no model.
    """
    cores = torch.get_num_threads()
    batches = min(cores, BATCHES) if choose_device(device).type == "cpu" else 1
    hosts: dict[str, AnyHost] = {}
    for argument in models:
        name, source = named_model(argument)
        if name in hosts:
            raise OptionError(f"two models are called {name!r}; give one another name: NAME={source}")
        hosts[name] = _load(name, source, latency, device, dtype, batches, compile=compile)
    if any(isinstance(host, ExtractorHost) for host in hosts.values()):
        torch.set_num_threads(cores // batches)
    return hosts


def _load(
    name: str, source: str, latency: float, device: str | None, dtype: str, batches: int, *, compile: bool
) -> AnyHost:
    if holds_generator(source):
        return GeneratorHost(name, Generator.from_pretrained(source, device=device), latency=latency)
    extractor = Extractor.from_pretrained(source, device=device, dtype=dtype, compile=compile)  # type: ignore[arg-type]
    return ExtractorHost(name, extractor, latency=latency, batches=batches)


def choose_host(hosts: Mapping[str, AnyHost], name: str | None, kind: type[H]) -> H:
    """The host of a name, the first of its kind where none is given.

    Raises `OptionError` for a name that is not there or that is of the other kind.
    """
    fitting = {known: host for known, host in hosts.items() if isinstance(host, kind)}
    if name is None and fitting:
        return next(iter(fitting.values()))
    if name is None:
        raise OptionError(f"no model for {kind.job} is served here")
    if name not in fitting:
        raise OptionError(unknown(f"model for {kind.job}", name, list(fitting)))
    return fitting[name]
