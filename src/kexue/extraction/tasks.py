"""What there is to extract: triples, entities alone, events. A head declares which of them is its task.

A task is its labels, how gold becomes `Links`, and how candidates become a document. Training, thresholds,
measuring and serving ask the head for its task and are the same for all.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kexue.encoders.tokenization import Tokens
from kexue.extraction.assembly import assemble
from kexue.extraction.decision import Decision
from kexue.extraction.decoding import Candidates
from kexue.extraction.document import Document
from kexue.extraction.events import EventEncoder, assemble_events, event_labels
from kexue.extraction.links import Labels, LinkEncoder, Links, entity_labels, fact_labels
from kexue.extraction.schema import Schema


@dataclass(frozen=True)
class Task:
    """`labels` may raise `SchemaError` where a schema has nothing that the task could learn."""

    labels: Callable[[Schema], Labels]
    make_encoder: Callable[[Schema], Callable[[Document, Tokens], Links]]
    assemble: Callable[[str, Tokens, Candidates, Any, Decision], Document]

    def encoder(self, schema: Schema) -> Callable[[Document, Tokens], Links]:
        """Documents to links, as far as the labels of the task know them."""
        return self.make_encoder(self.labels(schema).schema)


TRIPLES = Task(fact_labels, LinkEncoder, assemble)
ENTITIES = Task(entity_labels, LinkEncoder, assemble)
EVENTS = Task(event_labels, EventEncoder, assemble_events)
