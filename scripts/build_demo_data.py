"""Rebuild the data inside the package: `python scripts/build_demo_data.py SOURCES`.

SOURCES holds the published files, `phee/{train,dev,test}.json` and `cnshipnet/{train,dev,test}.json`. How the
events of PHEE become relations is told in `src/kexue/data/phee/SOURCE.md`; its counts are printed.
"""

from __future__ import annotations

import gzip
import json
import re
import sys
from collections import Counter
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from kexue.extraction.document import Document, Relation, Span
from kexue.extraction.occurrence import StringTriple, place_triples
from kexue.files import atomic_write

TARGET = Path(__file__).resolve().parents[1] / "src" / "kexue" / "data"
SPLITS = ("train", "dev", "test")
LABELS = {"Drug": "drug", "Disorder": "disorder", "Dosage": "dosage", "Route": "route"}
LISTED = {"effect", "disorder"}  # their separate pieces are separate things; a drug's are one broken name
WITHDRAWAL = re.compile(r"\b(?:cessation|discontinu|withdr[ae]w|stopp)", re.IGNORECASE)


def main(sources: Path) -> None:
    """Write both sets and print their counts."""
    for split in SPLITS:
        lines = (sources / "phee" / f"{split}.json").read_text("utf-8").splitlines()
        write(TARGET / "phee" / f"{split}.jsonl.gz", [phee_document(json.loads(line)) for line in lines])
    for split in SPLITS:
        records = json.loads((sources / "cnshipnet" / f"{split}.json").read_text("utf-8"))
        write(TARGET / "cnshipnet" / f"{split}.jsonl.gz", [ship_document(record) for record in records])


def write(path: Path, documents: list[Document]) -> None:
    """One document per line, compressed; the bytes depend on the documents alone."""
    lines = (json.dumps(document.to_json(), ensure_ascii=False, separators=(",", ":")) for document in documents)
    with atomic_write(path, binary=True) as file:
        file.write(gzip.compress("".join(f"{line}\n" for line in lines).encode(), mtime=0))
    print(path.relative_to(TARGET), len(documents), "documents,", path.stat().st_size, "bytes")
    for kind, labels in (
        ("entities", [span.label for document in documents for span in document.entities]),
        ("relations", [relation.predicate for document in documents for relation in document.relations]),
        ("unaligned", [item.label for document in documents for item in document.unaligned]),
    ):
        print(f"    {len(labels)} {kind}, {len(set(labels))} labels", dict(Counter(labels).most_common(5)))


def phee_document(record: dict[str, Any]) -> Document:
    """One sentence of PHEE: the spans of its events, and the relations that the events state."""
    text = record["context"]
    entities: set[Span] = set()
    relations: set[Relation] = set()
    for event in chain.from_iterable(annotation["events"] for annotation in record["annotations"]):
        spans = event_spans(event, text)
        entities.update(chain.from_iterable(spans.values()))
        relations.update(event_relations(event, spans))
    return Document(
        text,
        entities=sorted(entities),
        relations=sorted(relations, key=lambda it: (it.subject, it.object, it.predicate)),
        id=record["id"],
    )


def event_spans(event: dict[str, Any], text: str) -> dict[str, list[Span]]:
    """The spans of an event; `disorder` is what its drugs are given for, `patient` any other."""
    treatment, subject = event.get("Treatment", {}), event.get("Subject", {})
    found = {label: mentions(treatment.get(name), label, text) for name, label in LABELS.items()}
    adverse = event["event_type"] == "Adverse_event"
    return found | {
        "effect": mentions(event.get("Effect") if adverse else None, "effect", text),
        "patient": mentions(subject.get("Disorder"), "disorder", text),
    }


def event_relations(event: dict[str, Any], spans: dict[str, list[Span]]) -> Iterator[Relation]:
    """What an event states as a fact: a negated effect, or the good of a drug withdrawn, is none."""
    adverse, negated = event["event_type"] == "Adverse_event", "Negated" in event
    drugs = spans["drug"]
    if not negated:
        yield from (Relation(drug, "causes", effect) for drug in drugs for effect in spans["effect"])
    if adverse or not (negated or is_withdrawal(event)):
        yield from (Relation(drug, "treats", disorder) for drug in drugs for disorder in spans["disorder"])
    for label in ("dosage", "route"):
        for drug, value in paired(drugs, spans[label]):
            yield Relation(drug, f"has {label}", value)


def is_withdrawal(event: dict[str, Any]) -> bool:
    """Whether the treatment is that a drug was stopped: then it is the culprit, not the cure."""
    pieces = chain.from_iterable(event.get("Treatment", {}).get("text", []))
    return any(WITHDRAWAL.search(piece) for piece in pieces)


def mentions(argument: dict[str, Any] | None, label: str, text: str) -> list[Span]:
    """The spans of an argument, each in one piece or, where its pieces form one name, discontinuous."""
    if argument is None:
        return []
    found = []
    for surfaces, starts in zip(argument["text"], argument["start"], strict=True):
        pieces = sorted(mend(start, start + len(it), text) for it, start in zip(surfaces, starts, strict=True))
        if len(pieces) == 1 or label in LISTED:
            found += [Span(start, end, label) for start, end in pieces]
        else:
            found.append(Span(pieces[0][0], pieces[-1][1], label, fragments=tuple(pieces)))
    return found


def mend(start: int, end: int, text: str) -> tuple[int, int]:
    """Move ends that slipped into a word to its border, and leave out the punctuation after a phrase."""
    while start > 0 and text[start - 1].isalnum() and text[start].isalnum():
        start -= 1
    while end < len(text) and text[end - 1].isalnum() and text[end].isalnum():
        end += 1
    closing = ".,;:" if end == len(text) else ",;:"
    return start, start + len(text[start:end].rstrip(closing))


def paired(drugs: list[Span], values: list[Span]) -> Iterator[tuple[Span, Span]]:
    """Each value with its drug: in order where all drugs precede or follow all values, else the nearest."""
    if not drugs:
        return
    drugs, values = sorted(drugs), sorted(values)
    listed = len(drugs) == len(values) and (drugs[-1].end <= values[0].start or values[-1].end <= drugs[0].start)
    for index, value in enumerate(values):
        yield (drugs[index] if listed else min(drugs, key=lambda drug, value=value: gap(drug, value))), value


def gap(first: Span, second: Span) -> int:
    """Characters between two spans, 0 where they touch or overlap."""
    return max(second.start - first.end, first.start - second.end, 0)


def ship_document(record: dict[str, Any]) -> Document:
    """One text of CNShipNet: its triples are strings, placed by the package's own rule."""
    triples = dict.fromkeys(
        StringTriple(*(item[end].strip() for end in ("subject", "predicate", "object")))
        for item in record["relation_list"]
    )
    relations, unaligned = place_triples(record["text"], list(triples))
    return Document(record["text"], relations=relations, unaligned=unaligned, id=record["id"])


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
