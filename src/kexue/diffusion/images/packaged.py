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
