"""A folder of images; where every image lies in a sub-folder, the first sub-folder is its class."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from kexue.diffusion.images.entries import Entry, Source
from kexue.diffusion.images.opening import open_image
from kexue.errors import DataError

NOT_IMAGES = {".txt", ".md", ".json", ".jsonl", ".csv", ".tsv", ".html", ".xml", ".yaml", ".yml", ".toml", ".py"}


def folder_source(path: Path) -> Source:
    """All files below a folder, in sorted order, but hidden ones and those that describe (.txt, .json, ...).

    Raises `DataError` if there is none.
    """
    files = [file for file in sorted(path.rglob("*")) if file.is_file() and _may_be_image(file.relative_to(path))]
    if not files:
        raise DataError("has no readable image: there is no file in this folder that could be one", path=path)
    names = [file.relative_to(path) for file in files]
    classes = [name.parts[0] if len(name.parts) > 1 else None for name in names]
    labelled = all(classes)
    return Source(
        str(path),
        [
            Entry(name.as_posix(), partial(open_image, file), label if labelled else None)
            for file, name, label in zip(files, names, classes, strict=True)
        ],
    )


def _may_be_image(name: Path) -> bool:
    return name.suffix.lower() not in NOT_IMAGES and not any(part.startswith(".") for part in name.parts)
