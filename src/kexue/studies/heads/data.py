"""The sentences, split once for all contenders, in three views of the types of their entities."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from kexue.extraction.document import Document, Relation, Span
from kexue.extraction.formats import read_documents
from kexue.studies import annotated
from kexue.training.extraction.data import without_entity_types

TYPED, ROLES, MERGED = "typed", "subject and object apart", "subject and object merged"


def _merged(document: Document) -> Document:
    """Every span is an entity and nothing more."""

    def bare(span: Span) -> Span:
        return replace(span, label="entity")

    return replace(
        document,
        entities=[bare(span) for span in document.entities],
        relations=[Relation(bare(fact.subject), fact.predicate, bare(fact.object)) for fact in document.relations],
    )


VIEWS: dict[str, Callable[[Document], Document]] = {
    TYPED: lambda document: document,
    ROLES: without_entity_types,
    MERGED: _merged,
}


@dataclass(frozen=True)
class Sentences:
    """The files of each view of a set: `files[view][split]`."""

    name: str
    files: Mapping[str, Mapping[str, Path]]

    def gold(self, view: str) -> list[Document]:
        """The test sentences."""
        return read_documents(self.files[view]["test"], "native").documents


def prepare(folder: Path, name: str, splits: Mapping[str, Sequence[Document]]) -> Sentences:
    """Write the views of the sentences of each split into a folder."""
    return Sentences(
        name,
        {
            view: annotated.write(
                {split: [change(document) for document in documents] for split, documents in splits.items()},
                folder,
                f"{name}-{number}",
            )
            for number, (view, change) in enumerate(VIEWS.items())
        },
    )
