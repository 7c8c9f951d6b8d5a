"""How often each label occurs in each split, and labels that cannot be learnt from so little."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence

from kexue.extraction.doctor.case import Case
from kexue.extraction.doctor.finding import Finding, LabelCount
from kexue.extraction.document import Document

SHOWN = 8  # labels that a finding names

Labels = dict[tuple[str, str], Counter[str]]


def count_labels(cases: Sequence[Case], splits: Sequence[str]) -> tuple[LabelCount, ...]:
    """All labels by kind, the most frequent first; gold without a place counts like other gold."""
    counts: Labels = defaultdict(Counter)
    for case in cases:
        for kind, label in _labels(case.document):
            counts[kind, label][case.split] += 1
    return tuple(
        LabelCount(kind, label, {split: by_split[split] for split in splits})
        for (kind, label), by_split in sorted(
            counts.items(), key=lambda item: (item[0][0], -item[1].total(), item[0][1])
        )
    )


def _labels(document: Document) -> Iterator[tuple[str, str]]:
    yield from (("entity", span.label) for span in document.entities)
    yield from (("relation", relation.predicate) for relation in document.relations)
    yield from (("event", event.type) for event in document.events)
    yield from ((item.kind, item.label) for item in document.unaligned)


def unseen(labels: Sequence[LabelCount], train: str) -> Iterator[Finding]:
    """Labels of other splits that the training split lacks."""
    missing = [label for label in labels if not label.counts[train]]
    if missing:
        yield Finding(
            "unseen_label",
            "warning",
            f"labels never occur in {train!r}: {_listed(missing)}",
            len(missing),
            len(labels),
            "labels",
            (),
            "No model can find them: add examples, or leave them out of what is evaluated and say so.",
        )


def rare(labels: Sequence[LabelCount], train: str, enough: int) -> Iterator[Finding]:
    """Labels with fewer than `enough` examples in the training split."""
    few = [label for label in labels if 0 < label.counts[train] < enough]
    if few:
        yield Finding(
            "rare_label",
            "note",
            f"labels have fewer than {enough} examples in {train!r}: {_listed(few)}",
            len(few),
            len(labels),
            "labels",
            (),
            "Expect low recall on them: annotate more, or merge them with a related label.",
        )


def alike(labels: Sequence[LabelCount]) -> Iterator[Finding]:
    """Labels of one kind that differ from another only in case or in blanks at the ends."""
    groups: dict[tuple[str, str], list[str]] = defaultdict(list)
    for label in labels:
        groups[label.kind, label.label.strip().casefold()].append(label.label)
    twins = [names for names in groups.values() if len(names) > 1]
    if twins:
        listed = "; ".join(" and ".join(map(repr, names)) for names in twins[:SHOWN])
        yield Finding(
            "similar_label",
            "warning",
            f"labels differ only in case or in blanks at the ends: {listed}{'; …' if len(twins) > SHOWN else ''}",
            sum(map(len, twins)),
            len(labels),
            "labels",
            (),
            "They are learnt and scored as different labels: if one is meant, write it alike everywhere.",
        )


def _listed(labels: Sequence[LabelCount]) -> str:
    names = ", ".join(label.label or "(no label)" for label in labels[:SHOWN])
    return f"{names}, …" if len(labels) > SHOWN else names


def sizes(documents_by_split: Mapping[str, Sequence[Document]]) -> dict[str, dict[str, int]]:
    """How much there is in each split."""
    return {
        split: {
            "texts": len(documents),
            "entities": sum(len(document.entities) for document in documents),
            "relations": sum(len(document.relations) for document in documents),
            "events": sum(len(document.events) for document in documents),
            "unaligned": sum(len(document.unaligned) for document in documents),
        }
        for split, documents in documents_by_split.items()
    }
