"""How often does each occurrence rule find the annotated place?

    python -m kexue.benchmarks.occurrence DATA_FOLDER

Take data whose relations have exact spans, keep only the strings, let each rule of `OCCURRENCE_RULES` place
them again, and count the triples whose two ends are both where the annotator put them. A triple is ambiguous
where the characters of either end occur more than once. A string triple that is annotated at several places
is right at any of them.

DATA_FOLDER holds the sets as they are published: conll04/unified (Roth and Yih 2004), crossre (Bassignana and
Plank 2022), redocred_sent (sentences of Re-DocRED, whose extraction favours the first mention of an entity),
zh_literature_nerre (Xu et al. 2017, Chinese, brat, cut into lines). PHEE comes with the package; its dosages
are left out, because they were themselves paired by distance. What is absent is passed over.
"""

from __future__ import annotations

import sys
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from kexue.data import demo_path
from kexue.extraction.document import Document, Relation, Span
from kexue.extraction.formats import read_documents
from kexue.extraction.occurrence import OCCURRENCE_RULES, Rule, StringTriple, place_triples

Splits = Mapping[str, tuple[str, ...]]

# Files of each set, by what they are for: rules are chosen on "develop" and reported once on "test".
SETS: dict[str, Splits] = {
    "conll04": {
        "develop": ("conll04/unified/train.CoNLL04.json", "conll04/unified/valid.CoNLL04.json"),
        "test": ("conll04/unified/test.CoNLL04.json",),
    },
    "crossre": {"develop": ("crossre/*-train.json", "crossre/*-dev.json"), "test": ("crossre/*-test.json",)},
    "redocred_sent": {
        "develop": ("redocred_sent/train.jsonl", "redocred_sent/dev.jsonl"),
        "test": ("redocred_sent/test.jsonl",),
    },
    "zh_literature": {
        "develop": (
            "zh_literature_nerre/relation_extraction/Training",
            "zh_literature_nerre/relation_extraction/Validation",
        ),
        "test": ("zh_literature_nerre/relation_extraction/Testing",),
    },
}


@dataclass(frozen=True)
class Accuracy:
    """Of all string triples and of the ambiguous ones: how many there are, how many a rule placed right."""

    num_triples: int = 0
    num_right: int = 0
    num_ambiguous: int = 0
    num_ambiguous_right: int = 0

    def __add__(self, other: Accuracy) -> Accuracy:
        return Accuracy(
            self.num_triples + other.num_triples,
            self.num_right + other.num_right,
            self.num_ambiguous + other.num_ambiguous,
            self.num_ambiguous_right + other.num_ambiguous_right,
        )

    @property
    def overall(self) -> float:
        """The share of all triples that were placed right."""
        return self.num_right / max(self.num_triples, 1)

    @property
    def on_ambiguous(self) -> float:
        """The share of the ambiguous triples that were placed right."""
        return self.num_ambiguous_right / max(self.num_ambiguous, 1)


def measure(documents: Iterable[Document], rule: Rule) -> Accuracy:
    """Place the relations of documents by their strings alone, and compare with their spans."""
    return sum((_measure(document, rule) for document in documents), Accuracy())


def _measure(document: Document, rule: Rule) -> Accuracy:
    gold = _places(document.text, document.relations)
    placed, _ = place_triples(document.text, list(gold), rule=rule)
    found = _places(document.text, placed)
    right = {triple for triple, places in found.items() if places <= gold.get(triple, set())}
    ambiguous = {
        triple for triple in gold if document.text.count(triple.subject) > 1 or document.text.count(triple.object) > 1
    }
    return Accuracy(len(gold), len(right), len(ambiguous), len(right & ambiguous))


def _places(text: str, relations: Iterable[Relation]) -> dict[StringTriple, set[tuple[int, ...]]]:
    """The places of each string triple; discontinuous ends have no string to be found by and are left out."""
    places: dict[StringTriple, set[tuple[int, ...]]] = defaultdict(set)
    for relation in relations:
        subject, object = relation.subject, relation.object
        if not (subject.fragments or object.fragments):
            triple = StringTriple(subject.surface(text), relation.predicate, object.surface(text))
            places[triple].add((subject.start, subject.end, object.start, object.end))
    return places


def load(folder: Path, part: str) -> dict[str, list[Document]]:
    """The documents of each set that is in the folder, of the part "develop" or "test", and PHEE."""
    sets = {"phee": _phee(("train", "dev") if part == "develop" else ("test",))}
    for name, splits in SETS.items():
        paths = [path for pattern in splits[part] for path in sorted(folder.glob(pattern))]
        documents = [document for path in paths for document in read_documents(path).documents]
        if documents:
            sets[name] = [line for document in documents for line in lines(document)]
    return sets


def _phee(splits: Iterable[str]) -> list[Document]:
    documents = [document for split in splits for document in read_documents(demo_path("phee", split)).documents]
    for document in documents:
        document.relations = [r for r in document.relations if r.predicate != "has dosage"]
    return documents


def lines(document: Document) -> Iterator[Document]:
    """The lines of a document that have relations inside them, each a document."""
    starts = [0, *(at + 1 for at, character in enumerate(document.text) if character == "\n")]
    inside: dict[int, list[Relation]] = defaultdict(list)
    for relation in document.relations:
        ends = (
            relation.subject.start,
            relation.subject.end - 1,
            relation.object.start,
            relation.object.end - 1,
        )
        rows = {bisect_right(starts, end) - 1 for end in ends}
        if len(rows) == 1:
            inside[rows.pop()].append(relation)
    for row, relations in inside.items():
        first = starts[row]
        text = document.text[first : starts[row + 1] if row + 1 < len(starts) else None]
        yield Document(text, relations=[_moved(relation, -first) for relation in relations])


def _moved(relation: Relation, by: int) -> Relation:
    def moved(span: Span) -> Span:
        return Span(span.start + by, span.end + by, span.label, None, span.fragments)

    return Relation(moved(relation.subject), relation.predicate, moved(relation.object))


def table(sets: Mapping[str, list[Document]]) -> str:
    """Per rule and set, in per cent: all triples right / ambiguous triples right."""
    results = {
        rule_name: {name: measure(documents, rule) for name, documents in sets.items()}
        for rule_name, rule in OCCURRENCE_RULES.items()
    }
    heading = ["rule", *(f"{name}" for name in sets)]
    counts = ["triples / ambiguous"]
    counts += [f"{r.num_triples} / {r.num_ambiguous}" for r in next(iter(results.values())).values()]
    body = [
        [name, *(f"{100 * r.overall:.1f} / {100 * r.on_ambiguous:.1f}" for r in accuracies.values())]
        for name, accuracies in results.items()
    ]
    rows = [heading, ["---"] * len(heading), counts, *body]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def main(arguments: list[str]) -> None:
    """Print the table for both parts of the data in a folder."""
    if len(arguments) != 1:
        raise SystemExit("usage: python -m kexue.benchmarks.occurrence DATA_FOLDER")
    for part in ("develop", "test"):
        print(f"{part}: all triples right / ambiguous triples right, per cent\n")
        print(table(load(Path(arguments[0]), part)), end="\n\n")


if __name__ == "__main__":
    main(sys.argv[1:])
