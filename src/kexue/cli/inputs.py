"""What a command reads is looked for first: importing what works on it takes seconds."""

from __future__ import annotations

from glob import has_magic
from pathlib import Path


def look_for(*places: Path | str | None) -> None:
    """Raise `DataError` for a file that is not there.

    A pattern is left to who expands it, and so is what may be the name of a set of images: one without an ending, or
    with a colon.
    """
    from kexue.files import refuse_absent

    files = (Path(place) for place in places if isinstance(place, Path) or _names_file(place))
    refuse_absent(path for path in files if not has_magic(str(path)))


def look_for_model(name: str) -> None:
    """Raise `CheckpointError` for a model's folder that is not there."""
    from kexue.pipelines.hub import refuse_absent_model

    refuse_absent_model(name)


def _names_file(place: str | None) -> bool:
    return place is not None and ":" not in place and Path(place).suffix != ""
