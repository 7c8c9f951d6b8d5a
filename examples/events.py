"""Extract events: arguments are spans with roles, an event is a clique of linked ones (kexue.fm/archives/8926).

python examples/events.py [--quick] [--output runs/events]

The package has no events, so they are made of its relations: the drugs of a sentence with the effects they cause.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from kexue import Extractor
from kexue.data import demo_path
from kexue.extraction.document import Argument, Document, Event
from kexue.extraction.formats import read_documents, write_documents
from kexue.training.extraction.recipe import ExtractionRecipe
from kexue.training.extraction.run import train

TYPES = {"causes": ("adverse event", "drug", "effect"), "treats": ("therapy", "drug", "disorder")}


def with_events(document: Document) -> Document:
    """One event for each relation that says what a drug did."""
    events = []
    for relation in document.relations:
        if relation.predicate in TYPES:
            kind, *roles = TYPES[relation.predicate]
            ends = (relation.subject, relation.object)
            events.append(Event(kind, tuple(Argument(role, span) for role, span in zip(roles, ends, strict=True))))
    return Document(document.text, events=events, id=document.id)


def main() -> None:
    """Train on events, and show those of new sentences."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tiny encoder and few sentences")
    parser.add_argument("--output", type=Path, default=Path("runs/events"))
    options = parser.parse_args()

    files = {name: options.output / f"{name}.jsonl" for name in ("train", "dev")}
    for name, path in files.items():
        documents = read_documents(demo_path("phee", name)).documents[: 48 if options.quick else None]
        write_documents([with_events(document) for document in documents], path)

    values = {"train": files["train"], "dev": files["dev"], "output": options.output / "model", "head": "events"}
    size = {"encoder": "gau-tiny", "epochs": 1} if options.quick else {"encoder": "minilm", "epochs": 5}
    extractor = Extractor.from_pretrained(train(ExtractionRecipe.from_values(values | size), overwrite=True))

    document = extractor("Vancomycin for endocarditis was followed by red man syndrome and neutropenia.")
    for event in document.events:
        said = ", ".join(f"{it.role}: {it.span.surface(document.text)}" for it in event.arguments)
        print(f"{event.type} ({event.score:.2f}): {said}")


if __name__ == "__main__":
    main()
