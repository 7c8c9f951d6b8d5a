"""Real sentences for every task, and a tiny encoder with a head that learns them by heart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch

from kexue.encoders.gau import GAUConfig, GAUModel
from kexue.encoders.vocabulary import train_tokenizer
from kexue.encoders.windows import collate
from kexue.extraction.checkpoint import Checkpoint
from kexue.extraction.document import Argument, Document, Event, Span
from kexue.extraction.heads import HEADS
from kexue.extraction.inference import find_candidates
from kexue.extraction.judge import judge
from kexue.extraction.model import ExtractionConfig, ExtractionModel
from kexue.extraction.schema import Schema
from kexue.extraction.tasks import ENTITIES, EVENTS, TRIPLES, Task
from tests.training.tiny import sentences


def as_events(document: Document) -> Document:
    """What each drug does as an event: the drug, and all that it does so."""
    facts: dict[tuple[str, Span], list[Argument]] = {}
    for fact in document.relations:
        facts.setdefault((fact.predicate, fact.subject), []).append(Argument(fact.object.label, fact.object))
    return Document(
        document.text,
        events=[Event(kind, (Argument("drug", subject), *objects)) for (kind, subject), objects in facts.items()],
    )


DOCUMENTS: dict[Task, Callable[[int], list[Document]]] = {
    TRIPLES: sentences,
    ENTITIES: sentences,
    EVENTS: lambda count: [as_events(document) for document in sentences(count)],
}


@dataclass(frozen=True)
class Fitted:
    """A model and the documents that it was trained on."""

    checkpoint: Checkpoint
    documents: list[Document]

    @property
    def model(self) -> ExtractionModel:
        return self.checkpoint.model

    def f1(self) -> dict[str, float]:
        """Of the documents, by the rule that every score is above 0."""
        texts = [document.text for document in self.documents]
        found = find_candidates(self.model, self.checkpoint.text_tokenizer, texts)
        labels = self.model.head.labels
        measured = judge(self.documents, found, labels).f1()
        kinds = labels.kinds if labels.predicates else labels.kinds[:1]
        return {f"{kind}_f1": measured[f"{kind}_f1"] for kind in kinds}


def untrained(name: str, documents: list[Document], **options: Any) -> Fitted:
    """Two layers x 32 without dropout, always the same weights."""
    torch.manual_seed(0)
    tokenizer = train_tokenizer([document.text for document in documents], vocab_size=600)
    encoder = GAUModel(
        GAUConfig(
            vocab_size=len(tokenizer),
            hidden_size=32,
            num_hidden_layers=2,
            key_dim=16,
            hidden_dropout=0.0,
            attention_dropout=0.0,
            pad_token_id=tokenizer.pad_token_id,
        )
    )
    config = ExtractionConfig(
        encoder.config.to_dict(),
        Schema.from_documents(documents).to_json(),
        head=name,
        head_dim=16,
        hidden_dropout=0.0,
        **options,
    )
    return Fitted(Checkpoint(ExtractionModel(config, encoder).eval(), tokenizer), documents)


def batch_of(fitted: Fitted) -> dict[str, torch.Tensor]:
    """All documents as the arguments of the model's `forward`."""
    model, tokenizer = fitted.model, fitted.checkpoint.text_tokenizer
    encode = model.head.task.encoder(model.head.labels.schema)
    tokens = tokenizer([document.text for document in fitted.documents])
    links = [encode(document, own) for document, own in zip(fitted.documents, tokens, strict=True)]
    windows = collate(tokens, tokenizer, window=254, overlap=64)
    names = ("input_ids", "attention_mask", "gather", "mask")
    return {name: getattr(windows, name) for name in names} | model.head.targets(links)


@cache
def learnt(name: str, count: int, steps: int = 150, **options: Any) -> Fitted:
    """Trained on the first sentences of the head's task until it knows them by heart, or for so many steps."""
    fitted = untrained(name, DOCUMENTS[HEADS[name].task](count), **options)
    model, batch = fitted.model, batch_of(fitted)
    optimizer = torch.optim.Adam(
        [{"params": model.encoder.parameters(), "lr": 5e-3}, {"params": model.head.parameters(), "lr": 1e-2}]
    )
    for step in range(1, steps + 1):
        model.train()
        optimizer.zero_grad()
        model(**batch)["loss"].backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        model.eval()
        if step % 20 == 0 and min(fitted.f1().values()) == 1.0:
            break
    return fitted
