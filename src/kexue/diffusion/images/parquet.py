"""Images in a Parquet file, in the form that the hub gives them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from kexue.diffusion.images.entries import Source
from kexue.diffusion.images.rows import choose_columns, row_entries
from kexue.errors import DataError, OptionError
from kexue.files import expansion_limit


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
        with parquet.ParquetFile(path) as file:
            _check_expansion(file.metadata, path)
            image, label = choose_columns(file.schema_arrow.names, label_column, str(path))
            columns = file.read([image] if label is None else [image, label])
        images = columns.column(image).to_pylist()
        labels = None if label is None else columns.column(label).to_pylist()
    except (OSError, arrow.ArrowException, KeyError, ValueError, OverflowError, MemoryError) as error:
        raise DataError(f"cannot be read as Parquet: {error}", path=path) from error
    return Source(str(path), row_entries(images, labels, path.name), _class_names(columns.schema.metadata or {}, label))


def _check_expansion(metadata: Any, path: Path) -> None:
    total = sum(metadata.row_group(index).total_byte_size for index in range(metadata.num_row_groups))
    if total > expansion_limit(path) or metadata.num_rows > path.stat().st_size:
        raise DataError(
            f"says that it holds {metadata.num_rows:,} rows of {total:,} bytes, too many to be so", path=path
        )


def _class_names(metadata: dict[bytes, bytes], label: str | None) -> tuple[str, ...]:
    """The names that the hub writes beside a column of class numbers."""
    try:
        features: dict[str, Any] = json.loads(metadata[b"huggingface"])["info"]["features"]
        return tuple(features[str(label)]["names"])
    except (KeyError, TypeError, ValueError, RecursionError):
        return ()
