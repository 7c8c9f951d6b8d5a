"""Images in a Parquet file, in the form that the hub gives them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from kexue.diffusion.images.entries import Source
from kexue.diffusion.images.rows import choose_columns, row_entries
from kexue.errors import DataError, OptionError


def parquet_source(path: Path, label_column: str | None = None) -> Source:
    """The rows of a Parquet file; names of classes come from the hub's own metadata where it is there.

    Raises `OptionError` without pyarrow, `DataError` for a damaged file or one without a column of images.
    """
    try:
        import pyarrow as arrow
        import pyarrow.parquet as parquet
    except ImportError:
        raise OptionError("Parquet files need pyarrow: pip install 'kexue[parquet]'") from None
    try:
        table = parquet.read_table(path)
    except (OSError, arrow.ArrowException) as error:
        raise DataError(f"cannot be read as Parquet: {error}", path=path) from error
    image, label = choose_columns(table.column_names, label_column, str(path))
    labels = None if label is None else table.column(label).to_pylist()
    names = _class_names(table.schema.metadata or {}, label)
    return Source(str(path), row_entries(table.column(image).to_pylist(), labels, path.name), names)


def _class_names(metadata: dict[bytes, bytes], label: str | None) -> tuple[str, ...]:
    """The names that the hub writes beside a column of class numbers."""
    try:
        features: dict[str, Any] = json.loads(metadata[b"huggingface"])["info"]["features"]
        return tuple(features[str(label)]["names"])
    except (KeyError, TypeError, ValueError):
        return ()
