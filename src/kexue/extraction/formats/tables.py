"""Triples as a table, one row per relation: CSV, and Parquet with the extra `kexue[parquet]`.

    document,subject,subject_type,subject_start,subject_end,predicate,object,object_type,...,score
    7,Aspirin,drug,0,7,causes,rash,effect,17,21,0.98

`document` is the document's id; where it has none, the line of the extracted text that it came from (`file:line` of
many files), else its number from 1. A relation whose ends were not
found in the text has a row with empty offsets, so that no fact is lost. Tables are written, not read.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from kexue.errors import OptionError
from kexue.extraction.document import Document, Span
from kexue.files import atomic_write

COLUMNS = (
    "document",
    "subject",
    "subject_type",
    "subject_start",
    "subject_end",
    "predicate",
    "object",
    "object_type",
    "object_start",
    "object_end",
    "score",
)
_ROWS_AT_ONCE = 10_000  # of a Parquet file, so that a large export does not stand in memory


def rows(documents: Iterable[Document]) -> Iterator[dict[str, Any]]:
    """The rows of the table, as dictionaries with the keys `COLUMNS`; what is unknown is None."""
    for number, document in enumerate(documents, start=1):
        name = _name(document, number)
        for relation in document.relations:
            yield {
                "document": name,
                **_end("subject", relation.subject, document.text),
                "predicate": relation.predicate,
                **_end("object", relation.object, document.text),
                "score": relation.score,
            }
        for item in document.unaligned:
            if item.kind == "relation":
                known = {"document": name, "subject": item.strings[0], "predicate": item.label}
                yield dict.fromkeys(COLUMNS) | known | {"object": item.strings[1]}


def write_csv(documents: Iterable[Document], path: Path) -> None:
    """One row per relation, as RFC 4180 has it, UTF-8; the file appears when the last row is written."""
    with atomic_write(path) as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows(documents))


def write_parquet(documents: Iterable[Document], path: Path) -> None:
    """One row per relation; raises `OptionError` if pyarrow is not installed."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise OptionError("Parquet needs pyarrow: pip install 'kexue[parquet]', or write .csv") from None
    kinds = {"start": pyarrow.int64(), "end": pyarrow.int64(), "score": pyarrow.float64()}
    schema = pyarrow.schema([(name, kinds.get(name.rpartition("_")[2], pyarrow.string())) for name in COLUMNS])
    table = rows(documents)
    with atomic_write(path, binary=True) as file, parquet.ParquetWriter(file, schema) as writer:
        while part := list(islice(table, _ROWS_AT_ONCE)):
            writer.write_table(pyarrow.Table.from_pylist(part, schema))


def _name(document: Document, number: int) -> str:
    if document.id is not None:
        return document.id
    if "line" not in document.meta:
        return str(number)
    return ":".join(str(document.meta[key]) for key in ("file", "line") if key in document.meta)


def _end(name: str, span: Span, text: str) -> dict[str, Any]:
    return {
        name: span.surface(text),
        f"{name}_type": span.label or None,
        f"{name}_start": span.start,
        f"{name}_end": span.end,
    }
