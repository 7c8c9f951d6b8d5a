"""Images in the rows of a table, as the hub stores them: encoded bytes, or {"bytes": ..., "path": ...}."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from PIL import Image

from kexue.diffusion.images.entries import Entry
from kexue.diffusion.images.opening import open_image
from kexue.errors import DataError, unknown

IMAGE_COLUMNS = ("image", "img", "images")
LABEL_COLUMNS = ("label", "labels", "fine_label", "class")


def choose_columns(columns: Sequence[str], label_column: str | None, source: str) -> tuple[str, str | None]:
    """The column of images and that of classes, if there is one.

    Raises `DataError` if there is no column of images, or none of the name that was asked for.
    """
    image = next((name for name in IMAGE_COLUMNS if name in columns), None)
    if image is None:
        raise DataError(f"has no column {' or '.join(IMAGE_COLUMNS)}, only {', '.join(columns)}", path=source)
    if label_column is not None and label_column not in columns:
        raise DataError(unknown("column", label_column, list(columns)), path=source)
    return image, label_column or next((name for name in LABEL_COLUMNS if name in columns), None)


def row_entries(images: Sequence[Any], labels: Sequence[Any] | None, source: str) -> list[Entry]:
    """One entry for each row; an image is bytes, or a mapping with bytes and perhaps a path."""
    classes = [None] * len(images) if labels is None else labels
    return [
        Entry(f"{source}[{index}]", partial(_open, image), label)
        for index, (image, label) in enumerate(zip(images, classes, strict=True))
    ]


def _open(image: Any) -> Image.Image:
    encoded = image.get("bytes") if isinstance(image, Mapping) else image
    if not isinstance(encoded, bytes):
        raise ValueError("has no bytes of an image")
    return open_image(io.BytesIO(encoded))
