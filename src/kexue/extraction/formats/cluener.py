"""CLUENER2020 (CLUEbenchmark): entities under type and mention, each with all its places, ends inclusive.

    {"text": "浙商银行的叶老桂", "label": {"name": {"叶老桂": [[5, 7]]}, "company": {"浙商银行": [[0, 3]]}}}

One record a line. The test file has no "label"; its records are read as texts without annotation.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from kexue.errors import DataError
from kexue.extraction.document import Document, Span, Unaligned
from kexue.extraction.formats.records import field, of_kind, read_each, refuse_strangers
from kexue.extraction.formats.source import Sample

_KNOWN = ("id", "text", "label")


def detect(sample: Sample) -> bool:
    """Whether the first record's "label" goes from types to mentions."""
    labels = sample.record.get("label") if isinstance(sample.record, Mapping) else None
    return (
        isinstance(labels, Mapping)
        and bool(labels)
        and all(isinstance(mentions, Mapping) for mentions in labels.values())
    )


def read(path: Path) -> Iterator[Document]:
    """Documents of a CLUENER file; a mention that its offsets do not show is kept as unaligned.

    Raises `DataError` with path and line for a record of another shape.
    """
    return read_each(path, _document)


def _document(record: dict[str, Any]) -> Document:
    refuse_strangers(record, ("label",), _KNOWN)
    identity = record.get("id")
    document = Document(field(record, "text", str), id=None if identity is None else str(identity))
    try:
        for label, mentions in record.get("label", {}).items():
            for mention, places in mentions.items():
                for start, last in places:
                    first, end = of_kind(start, int, "a start"), of_kind(last, int, "an end") + 1
                    _place(document, label, mention, first, end)
                if not places:
                    document.unaligned.append(Unaligned("entity", label, (mention,), "it has no place"))
    except (TypeError, ValueError, AttributeError):
        raise DataError("'label' must go from type to mention to [[start, end], ...], ends inclusive") from None
    return document


def _place(document: Document, label: str, mention: str, start: int, end: int) -> None:
    found = document.text[start:end] if start >= 0 else ""
    if mention and found == mention:
        document.entities.append(Span(start, end, label))
    else:
        reason = f"characters {start} to {end} are {found!r}"
        document.unaligned.append(Unaligned("entity", label, (mention,), reason))
