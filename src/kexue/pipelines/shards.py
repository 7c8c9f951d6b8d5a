"""Documents in a file of their own, which appears when it is whole: lines of JSON, or Parquet."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from kexue.errors import OptionError, unknown
from kexue.extraction.document import Document
from kexue.files import atomic_write
from kexue.pipelines.bulk import write_lines

Sink = Callable[[Iterable[Document]], None]
"""Takes documents, as many as stand in memory."""


@contextmanager
def lines_shard(path: Path) -> Iterator[Sink]:
    """One document a line, in the native format."""
    with atomic_write(path, binary=True) as file:
        yield lambda documents: write_lines(documents, file)


@contextmanager
def parquet_shard(path: Path) -> Iterator[Sink]:
    """One document a row: the native format's fields as columns of lists and structs, `meta` as JSON.

    Raises `OptionError` if pyarrow is not installed.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise OptionError("Parquet needs pyarrow: pip install 'kexue[parquet]', or --format jsonl") from None
    schema = _schema(pyarrow)
    with (
        atomic_write(path, binary=True) as file,
        parquet.ParquetWriter(file, schema, compression="zstd") as writer,
    ):
        yield lambda documents: writer.write_table(
            pyarrow.Table.from_pylist([_row(document) for document in documents], schema)
        )


def no_utf8(document: Document) -> str | None:
    """Why Parquet cannot hold a document, where it cannot."""
    try:
        for value in (document.text, document.id or ""):
            value.encode()
    except UnicodeEncodeError as error:
        return f"has a lone surrogate at character {error.start}, which Parquet cannot hold (--format jsonl can)"
    return None


def _row(document: Document) -> dict[str, Any]:
    record = document.to_json()
    meta = record.get("meta")
    return record | {"meta": None if meta is None else json.dumps(meta)}


def _schema(arrow: Any) -> Any:
    place = [("start", arrow.int64()), ("end", arrow.int64()), ("label", arrow.string()), ("text", arrow.string())]
    score = [("score", arrow.float64())]
    span = arrow.struct([*place, *score, ("fragments", arrow.list_(arrow.list_(arrow.int64())))])
    relation = arrow.struct([("subject", span), ("predicate", arrow.string()), ("object", span), *score])
    argument = arrow.struct([("role", arrow.string()), *place, *score])
    event = arrow.struct([("type", arrow.string()), ("arguments", arrow.list_(argument)), *score])
    return arrow.schema(
        [
            ("id", arrow.string()),
            ("text", arrow.string()),
            ("entities", arrow.list_(span)),
            ("relations", arrow.list_(relation)),
            ("events", arrow.list_(event)),
            ("meta", arrow.string()),
        ]
    )


SHARDS: dict[str, Callable[[Path], AbstractContextManager[Sink]]] = {"jsonl": lines_shard, "parquet": parquet_shard}
"""By the ending of a shard's name."""


def check_form(form: str) -> None:
    """Raise `OptionError` for a form that no shard can have."""
    if form not in SHARDS:
        raise OptionError(unknown("format", form, list(SHARDS)))
