"""Pictures for people and for programs: a grid, single files, a moving picture, arrays; whole or not written at all."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from kexue.diffusion.images.pixels import Pixels
from kexue.errors import OptionError
from kexue.files import atomic_folder, atomic_write


def arrange_grid(pixels: Pixels, *, columns: int | None = None, gap: int = 2, enlarge: int | None = None) -> Pixels:
    """Images uint8[n, h, w, c] side by side on white, row by row: uint8[height, width, c].

    `columns` makes the grid about square where left out; `enlarge` repeats every pixel, as often as brings
    small images to some 64 pixels where left out.
    """
    n, height, width, channels = pixels.shape
    enlarge = max(1, 64 // max(height, width)) if enlarge is None else enlarge
    columns = math.ceil(math.sqrt(n)) if columns is None else columns
    rows = math.ceil(n / columns)
    height, width = height * enlarge, width * enlarge
    canvas = np.full((rows * (height + gap) + gap, columns * (width + gap) + gap, channels), 255, np.uint8)
    for index, image in enumerate(pixels.repeat(enlarge, 1).repeat(enlarge, 2)):
        top, left = gap + index // columns * (height + gap), gap + index % columns * (width + gap)
        canvas[top : top + height, left : left + width] = image
    return canvas


def write_png(path: str | Path, pixels: Pixels) -> None:
    """One image uint8[h, w, c] as a PNG file."""
    with atomic_write(path, binary=True) as file:
        file.write(as_png(pixels))


def as_png(pixels: Pixels) -> bytes:
    """One image uint8[h, w, c] as the content of a PNG file."""
    buffer = io.BytesIO()
    as_picture(pixels).save(buffer, format="PNG")
    return buffer.getvalue()


def write_grid(path: str | Path, pixels: Pixels, *, columns: int | None = None) -> None:
    """Images uint8[n, h, w, c] as one PNG file, arranged by `arrange_grid`."""
    write_png(path, arrange_grid(pixels, columns=columns))


def write_gif(
    path: str | Path, frames: Sequence[Pixels], *, columns: int | None = None, seconds: float = 3.0, hold: float = 1.0
) -> None:
    """A moving picture of grids: `frames` of uint8[n, h, w, c] in `seconds`, the last one held."""
    pictures = [as_picture(arrange_grid(frame, columns=columns)).convert("RGB") for frame in frames]
    each = max(20, round(1000 * seconds / len(pictures)))
    durations = [each] * (len(pictures) - 1) + [round(1000 * hold)]
    with atomic_write(path, binary=True) as file:
        pictures[0].save(
            file, format="GIF", save_all=True, append_images=pictures[1:], duration=durations, loop=0, optimize=False
        )


def write_npz(
    path: str | Path,
    pixels: Pixels,
    *,
    labels: NDArray[np.int64] | None = None,
    label_names: Sequence[str] = (),
    max_value: int = 255,
) -> None:
    """Images uint8[n, h, w, c] as an npz file that `read_images` reads."""
    arrays: dict[str, NDArray[np.generic]] = {"images": pixels}
    if labels is not None:
        arrays["labels"] = labels
    if label_names:
        arrays["label_names"] = np.array(label_names)
    if max_value != 255:
        arrays["max_value"] = np.array(max_value)
    with atomic_write(path, binary=True) as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


def write_folder(path: str | Path, pixels: Pixels) -> None:
    """Images uint8[n, h, w, c] as 0000.png, 0001.png, ... in a new or empty folder; raises `OptionError` otherwise."""
    folder = Path(path)
    if folder.exists() and any(folder.iterdir()):
        raise OptionError(f"{folder}: is not empty, and single files are only written to a new folder")
    digits = max(4, len(str(len(pixels) - 1)))
    with atomic_folder(path) as folder:
        for index, image in enumerate(pixels):
            write_png(folder / f"{index:0{digits}}.png", image)


WRITERS: dict[str, Callable[[Path, Pixels], None]] = {".png": write_grid, ".npz": write_npz, "": write_folder}
"""By the ending of a name: a grid, arrays, or a folder of single files."""


def write_images(path: str | Path, pixels: Pixels) -> None:
    """Images uint8[n, h, w, c] in the form that the name asks for; raises `OptionError` for another ending."""
    path = Path(path)
    if path.suffix.lower() not in WRITERS:
        raise OptionError(f"cannot write images as {path.name!r}: use NAME.png (a grid), NAME.npz, or a folder")
    WRITERS[path.suffix.lower()](path, pixels)


def as_picture(pixels: Pixels) -> Image.Image:
    """One image uint8[h, w, c] for Pillow, grey where it has one channel."""
    return Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
