"""The sentences, split once for all contenders, in three views of the types of their entities.

phee       drug safety, part of the package
conll04    news; a folder with conll04_train.json, conll04_dev.json and conll04_test.json
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from kexue.data import demo_path
from kexue.extraction.document import Document, Relation, Span
from kexue.extraction.formats import read_documents, write_documents
from kexue.training.extraction.data import without_entity_types

TYPED, ROLES, MERGED = "typed", "subject and object apart", "subject and object merged"
SPLITS = ("train", "dev", "test")


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
    """The files of each view: `files[view][split]`."""

    name: str
    files: Mapping[str, Mapping[str, Path]]

    def gold(self, view: str) -> list[Document]:
        """The test sentences."""
        return read_documents(self.files[view]["test"], "native").documents


def prepare(folder: Path, conll04: Path | None, most: int | None) -> Sentences:
    """Write the views into a folder; at most so many sentences of each split where a number is given."""
    sources = {split: conll04 / f"conll04_{split}.json" if conll04 else demo_path("phee", split) for split in SPLITS}
    documents = {split: read_documents(path).documents[:most] for split, path in sources.items()}
    files = {view: {split: folder / f"{number}-{split}.jsonl" for split in SPLITS} for number, view in enumerate(VIEWS)}
    for view, change in VIEWS.items():
        for split, path in files[view].items():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_documents([change(document) for document in documents[split]], path, "native")
    return Sentences("conll04" if conll04 else "phee", files)
