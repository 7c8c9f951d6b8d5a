"""What the doctor says: findings with examples, counts of labels, distributions of lengths."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from kexue.extraction.document import Span

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")

_CONTEXT = 30
_SHOWN = str.maketrans({"\n": "↵", "\r": "␍", "\t": "⇥"})


@dataclass(frozen=True, slots=True)
class Example:
    """One place: the split, the number of the record in it (from 1), its id, the text with spans in ⟦⟧."""

    split: str
    record: int
    id: str | None
    excerpt: str


@dataclass(frozen=True, slots=True)
class Finding:
    """`count` of `total` things of a `unit` are in the trouble `kind`, and what to do about it.

    An error loses or contradicts gold, a warning probably does, a note is good to know.
    """

    kind: str
    severity: Severity
    message: str
    count: int
    total: int
    unit: str
    examples: tuple[Example, ...]
    remedy: str

    @property
    def share(self) -> float:
        """Between 0 and 1."""
        return self.count / self.total if self.total else 0.0


@dataclass(frozen=True, slots=True)
class LabelCount:
    """How often a label occurs in each split; `kind` is "entity", "relation" or "event"."""

    kind: str
    label: str
    counts: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Distribution:
    """Quantiles and a histogram of a length: `bins` are (upper limit, inclusive; count)."""

    name: str
    quantiles: Mapping[str, int]
    bins: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """All that `examine` found: the findings with the gravest first, and the make-up of each split."""

    sizes: Mapping[str, Mapping[str, int]]
    findings: tuple[Finding, ...]
    labels: tuple[LabelCount, ...]
    distributions: tuple[Distribution, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; a finding has its share beside count and total."""
        record = asdict(self)
        for finding, written in zip(self.findings, record["findings"], strict=True):
            written["share"] = round(finding.share, 6)
        return record

    def finding(self, kind: str) -> Finding | None:
        """The finding of a kind, or None where all is well."""
        return next((finding for finding in self.findings if finding.kind == kind), None)


def gravest_first(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Sorted by severity, then by the share that is concerned."""
    return tuple(sorted(findings, key=lambda found: (SEVERITIES.index(found.severity), -found.share)))


def excerpt(text: str, spans: Sequence[Span]) -> str:
    """The text around the ends of the spans, with the spans in ⟦⟧ and what is left out as …"""
    if not spans:
        return text[: 4 * _CONTEXT].translate(_SHOWN) + ("…" if len(text) > 4 * _CONTEXT else "")
    ends = {(span.start, span.end) for span in spans}
    marks = sorted([(end, 0, "⟧") for _, end in ends] + [(start, 1, "⟦") for start, _ in ends])
    pieces, position = [], max(0, marks[0][0] - _CONTEXT)
    pieces.append("…" if position else "")
    for place, _, bracket in marks:
        pieces += [_between(text[position:place]), bracket]
        position = place
    end = min(len(text), position + _CONTEXT)
    return "".join([*pieces, text[position:end], "…" if end < len(text) else ""]).translate(_SHOWN)


def _between(text: str) -> str:
    return text if len(text) <= 2 * _CONTEXT else f"{text[:_CONTEXT]}…{text[-_CONTEXT:]}"
