"""Images that ship with the package: `digits` (8 x 8, grey) and `tiles` (pixel art, 32 x 32, transparent).

Where a set comes from is told in its SOURCE.md.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path

PACKAGED = ("digits", "tiles")


def packaged_path(name: str) -> Path:
    """The npz file of one of `PACKAGED`.

    >>> packaged_path("digits").name
    'digits.npz'
    """
    return Path(str(resources.files("kexue.data") / name / f"{name}.npz"))


def find_source(name: str) -> Path | str:
    """The file that the name of one of `PACKAGED` means; any other name as it is."""
    return packaged_path(name) if name in PACKAGED and not Path(name).exists() else name
