"""One document as the checks see it, and what a check is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from kexue.extraction.doctor.finding import Example, Finding, Severity, excerpt
from kexue.extraction.document import Document, Span

Tokenize = Callable[[str], Sequence[tuple[int, int]]]
"""Text to the characters (start, end) of its tokens, without special tokens."""


@dataclass(frozen=True, slots=True)
class Case:
    """A document, its place, all its spans (each once, in order), and its tokens if there is a tokenizer."""

    split: str
    record: int
    document: Document
    spans: tuple[Span, ...]
    tokens: Sequence[tuple[int, int]] | None

    def example(self, spans: Sequence[Span], note: str = "") -> Example:
        """The document's text with the spans marked, and a remark behind."""
        shown = excerpt(self.document.text, spans)
        return Example(self.split, self.record, self.document.id, f"{shown}  ({note})" if note else shown)


@dataclass(frozen=True, slots=True)
class Hit:
    """One thing a check found: the spans concerned and a remark."""

    spans: tuple[Span, ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """What can be wrong with one document: a function that finds it, and what to say."""

    kind: str
    severity: Severity
    unit: str
    message: str
    remedy: str
    find: Callable[[Case], Iterable[Hit]]

    def __call__(self, cases: Sequence[Case], totals: Mapping[str, int], limit: int) -> Iterator[Finding]:
        """The finding over all cases, or nothing; at most `limit` examples, each from another document."""
        count = 0
        examples: list[Example] = []
        for case in cases:
            before = count
            for hit in self.find(case):
                if count == before and len(examples) < limit:
                    examples.append(case.example(hit.spans, hit.note))
                count += 1
        if count:
            total = totals[self.unit]
            yield Finding(self.kind, self.severity, self.message, count, total, self.unit, tuple(examples), self.remedy)


def open_cases(documents_by_split: Mapping[str, Sequence[Document]], tokenize: Tokenize | None) -> list[Case]:
    """All documents as cases, in order."""
    return [
        Case(split, record, document, _spans(document), tokenize(document.text) if tokenize else None)
        for split, documents in documents_by_split.items()
        for record, document in enumerate(documents, start=1)
    ]


def _spans(document: Document) -> tuple[Span, ...]:
    spans = set(document.entities)
    for relation in document.relations:
        spans.add(relation.subject)
        spans.add(relation.object)
    for event in document.events:
        spans.update(argument.span for argument in event.arguments)
    return tuple(sorted(spans))
