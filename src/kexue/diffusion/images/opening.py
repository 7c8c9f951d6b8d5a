"""A picture is opened by Pillow, but not in a format for which Pillow would start another program."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import BinaryIO

from PIL import Image

STARTING_PROGRAMS = {"EPS"}  # a program in PostScript, which Pillow has Ghostscript run


def open_image(file: Path | BinaryIO) -> Image.Image:
    """The picture, its header read; raises what Pillow raises for a file that is none."""
    return Image.open(file, formats=_formats())


@cache
def _formats() -> list[str]:
    Image.init()
    return [name for name in Image.ID if name not in STARTING_PROGRAMS]
