"""What a head costs, alone: parameters, a step of training, memory for it, decoding once it has learnt.

Every head gets the same hidden states of the same sentences, and is taught them until its scores are those of a
trained one. All heads take turns within a round, so that other load hits all alike; the median counts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from time import perf_counter, process_time
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from kexue.encoders.loading import load_encoder
from kexue.encoders.tokenization import TextTokenizer
from kexue.encoders.windows import collate
from kexue.extraction.document import Document
from kexue.extraction.formats import read_documents
from kexue.extraction.heads.head import Head
from kexue.extraction.model import ExtractionModel
from kexue.extraction.schema import Schema
from kexue.layers import handshaking
from kexue.studies.heads.contenders import Contender
from kexue.studies.heads.data import TYPED, Sentences
from kexue.studies.kept import kept_bytes
from kexue.training.extraction.recipe import ExtractionRecipe
from kexue.training.extraction.run import build_model

ALL_PAIRS = "TPLinker, all pairs kept"


@dataclass(frozen=True)
class Cost:
    """Milliseconds of a step (loss and gradient) and of decoding, bytes of a step, for the whole batch.

    Without a GPU the time is that of the processor, which other work does not lengthen. On a GPU the bytes are the peak
    above what was held before, elsewhere those of the tensors kept for the gradient.
    """

    parameters: int
    step: float
    decoding: float
    memory: int


@dataclass(frozen=True)
class Case:
    """A head that has learnt a batch."""

    head: Head
    hidden: Tensor
    mask: Tensor
    targets: Mapping[str, Tensor]

    def step(self) -> None:
        self.head.train()
        self.head.zero_grad(set_to_none=True)
        self.head.loss(self.hidden.detach().requires_grad_(), self.mask, self.targets).mean().backward()

    def decode(self) -> None:
        with torch.inference_mode():
            self.head.eval().decode(self.hidden, self.mask)


class _KeptPairs(Case):
    """With the vectors of all pairs in memory at once."""

    def step(self) -> None:
        chunk, handshaking.CHUNK = handshaking.CHUNK, 2**62
        try:
            super().step()
        finally:
            handshaking.CHUNK = chunk


def measure_all(
    contenders: Sequence[Contender],
    sentences: Sentences,
    recipe: Mapping[str, Any],
    *,
    num_texts: int,
    teaching: int,
    rounds: int,
) -> dict[str, Cost]:
    """The costs of every contender by name."""
    texts = [document.text for document in read_documents(sentences.files[TYPED]["train"], "native").documents]
    encoder = load_encoder(recipe["encoder"], texts=texts)
    cases = {item.name: _learnt(item, encoder, sentences, recipe, num_texts, teaching) for item in contenders}
    if "TPLinker" in cases:
        cases[ALL_PAIRS] = _KeptPairs(**vars(cases["TPLinker"]))
    steps: dict[str, list[float]] = {name: [] for name in cases}
    decodings: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(rounds + 1):  # the first only warms up
        for name, case in cases.items():
            steps[name].append(_milliseconds(case.step))
            decodings[name].append(_milliseconds(case.decode))
    return {
        name: Cost(
            sum(parameter.numel() for parameter in case.head.parameters()),
            median(steps[name][1:]),
            median(decodings[name][1:]),
            _bytes(case),
        )
        for name, case in cases.items()
    }


def _learnt(
    contender: Contender,
    encoder: tuple[PreTrainedModel, PreTrainedTokenizerBase],
    sentences: Sentences,
    values: Mapping[str, Any],
    num_texts: int,
    teaching: int,
) -> Case:
    files = sentences.files[contender.view]
    recipe = ExtractionRecipe.from_values(
        {"train": files["train"], "output": "none"} | dict(values) | dict(contender.recipe), source="study"
    )
    documents = read_documents(files["train"], "native").documents
    torch.manual_seed(0)
    model = build_model(encoder[0], Schema.from_documents(documents), recipe).eval()
    case = _case(model, documents[:num_texts], TextTokenizer(encoder[1]))
    optimizer = torch.optim.Adam(model.head.parameters(), lr=recipe.head_lr)
    for _ in range(teaching):
        case.step()
        torch.nn.utils.clip_grad_norm_(model.head.parameters(), recipe.max_grad_norm)
        optimizer.step()
    return case


@torch.no_grad()
def _case(model: ExtractionModel, documents: Sequence[Document], tokenizer: TextTokenizer) -> Case:
    tokens = tokenizer([document.text for document in documents])
    encode = model.head.task.encoder(model.head.labels.schema)
    links = [encode(document, own) for document, own in zip(documents, tokens, strict=True)]
    batch = collate(tokens, tokenizer, window=model.config.window, overlap=model.config.overlap).to(model.device)
    targets = {name: value.to(model.device) for name, value in model.head.targets(links).items()}
    return Case(model.head, model.hidden_states(batch), batch.mask, targets)


def _milliseconds(run: Callable[[], None]) -> float:
    clock = perf_counter if torch.cuda.is_available() else process_time
    _wait()
    began = clock()
    run()
    _wait()
    return 1000 * (clock() - began)


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _bytes(case: Case) -> int:
    if case.hidden.is_cuda:
        case.head.zero_grad(set_to_none=True)
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        case.step()
        return torch.cuda.max_memory_allocated() - before
    return kept_bytes(case.step, case.head.parameters())
