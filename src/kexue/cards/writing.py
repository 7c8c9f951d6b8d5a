"""How the folder of a model is written: all files beside their place, then in it, then the manifest, then the card."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kexue import manifest
from kexue.cards.readme import write_new_card
from kexue.files import atomic_folder
from kexue.manifest import WRITING


@contextmanager
def model_folder(folder: str | Path, content: dict[str, Any], version: tuple[int, int]) -> Iterator[Path]:
    """A folder to fill with the files of a model, which are moved into `folder` when the block ends without exception.

    The manifest says what `content` holds then, in a format of this version; the card of a model before is replaced.
    """
    folder = Path(folder)
    with atomic_folder(folder / WRITING) as partial:
        yield partial
    manifest.install(folder / WRITING, folder, content, version)
    write_new_card(folder)
