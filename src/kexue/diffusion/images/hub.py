"""Images of a data set on the hub, by its name: `hub:OWNER/NAME` or `hub:OWNER/NAME:SPLIT`, through `datasets`."""

from __future__ import annotations

from typing import Any

from kexue.diffusion.images.entries import Source
from kexue.diffusion.images.rows import choose_columns, row_entries
from kexue.errors import DataError, OptionError

PREFIX = "hub:"


def hub_source(name: str, label_column: str | None = None) -> Source:
    """One split ("train" where none is named) of a hub data set.

    Raises `OptionError` without the package `datasets`, `DataError` if the set cannot be had.
    """
    try:
        import datasets
    except ImportError:
        raise OptionError("data sets of the hub need the package datasets: pip install datasets") from None
    repository, _, split = name.removeprefix(PREFIX).partition(":")
    try:
        loaded = datasets.load_dataset(repository, split=split or "train")
    except Exception as error:  # the package and its back ends raise errors of many kinds
        raise DataError(f"cannot be loaded from the hub: {error}", path=name) from error
    return table_source(loaded, label_column, name)


def table_source(table: Any, label_column: str | None, name: str) -> Source:
    """The rows of a `datasets.Dataset`, whose images are left encoded."""
    import datasets

    image, label = choose_columns(table.column_names, label_column, name)
    encoded = table.cast_column(image, datasets.Image(decode=False))
    names = getattr(table.features[label], "names", None) if label else None
    return Source(name, row_entries(encoded[image][:], encoded[label][:] if label else None, name), tuple(names or ()))
