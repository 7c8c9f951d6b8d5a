"""Images as arrays in an npz or npy file: uint8[n, h, w] or uint8[n, h, w, c], c of 1, 3 or 4.

An npz has them under `images` (or `x`, or as its only array of that form), numbers of classes under `labels`
(or `y`), names of classes under `label_names`, and the value of white under `max_value` where it is not 255.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO
from zipfile import ZipFile

import numpy as np
from numpy.lib.format import MAGIC_PREFIX, open_memmap
from numpy.typing import NDArray
from PIL import Image

from kexue.diffusion.images.entries import Entry, Source
from kexue.diffusion.images.pixels import Pixels, PixelScale
from kexue.errors import DataError
from kexue.files import expansion_limit

IMAGE_KEYS = ("images", "x")
LABEL_KEYS = ("labels", "y")


def array_source(path: Path) -> Source:
    """The images of an npz or npy file.

    Raises `DataError` for a damaged file, one that holds Python objects, and arrays of another form.
    """
    arrays = _load(path)
    pixels = _checked(_find_images(arrays, path), path)
    labels = next((arrays[key] for key in LABEL_KEYS if key in arrays), None)
    if labels is not None and (labels.shape != (len(pixels),) or labels.dtype.kind not in "iuUb"):
        raise DataError(
            f"has {len(pixels):,} images but labels of shape {labels.shape} and kind {labels.dtype}: "
            "one number or name for each",
            path=path,
        )
    classes: list[Any] = [None] * len(pixels) if labels is None else labels.tolist()
    return Source(
        str(path),
        [
            Entry(f"{path.name}[{index}]", partial(Image.fromarray, image), label)
            for index, (image, label) in enumerate(zip(pixels, classes, strict=True))
        ],
        tuple(map(str, arrays.get("label_names", np.array([])).ravel())),
        PixelScale(_max_value(arrays, path)),
    )


def _load(path: Path) -> Mapping[str, NDArray[Any]]:
    try:
        with path.open("rb") as file:  # numpy leaves a file open that turns out to be damaged
            if file.read(len(MAGIC_PREFIX)) == MAGIC_PREFIX:
                return {"images": open_memmap(path, mode="r")}  # which no header makes larger than the file
            file.seek(0)
            _check_expansion(file, path)
            loaded = np.load(file, allow_pickle=False)
            return {key: loaded[key] for key in loaded.files}
    except DataError:
        raise
    except Exception as error:  # zipfile and numpy each raise their own for bytes that are not theirs
        raise DataError(f"cannot be read as arrays: {str(error) or type(error).__name__}", path=path) from error


def _check_expansion(file: BinaryIO, path: Path) -> None:
    with ZipFile(file) as archive:
        total, limit = sum(member.file_size for member in archive.infolist()), expansion_limit(path)
    if total > limit:
        raise DataError(f"expands to {total:,} bytes, more than the {limit:,} that are read of such a file", path=path)
    file.seek(0)


def _find_images(arrays: Mapping[str, NDArray[Any]], path: Path) -> NDArray[Any]:
    for key in IMAGE_KEYS:
        if key in arrays:
            return arrays[key]
    candidates = [array for array in arrays.values() if array.ndim in (3, 4)]
    if len(candidates) != 1:
        raise DataError(f"has no array named 'images', only {', '.join(arrays)}", path=path)
    return candidates[0]


def _max_value(arrays: Mapping[str, NDArray[Any]], path: Path) -> int:
    stated = arrays.get("max_value", np.array(255))
    if stated.size != 1 or stated.dtype.kind not in "iu":
        raise DataError(f"max_value must be one whole number, got {stated.dtype}{list(stated.shape)}", path=path)
    if not 1 <= stated.item() <= 255:
        raise DataError(f"max_value must be within 1 ... 255, got {stated.item()}", path=path)
    return int(stated.item())


def _checked(pixels: NDArray[Any], path: Path) -> Pixels:
    shaped = pixels.ndim == 3 or (pixels.ndim == 4 and pixels.shape[-1] in (1, 3, 4))
    if pixels.dtype != np.uint8 or not shaped:
        raise DataError(
            f"images must be uint8[n, h, w] or uint8[n, h, w, 1, 3 or 4], got {pixels.dtype}{list(pixels.shape)}: "
            "pixels from 0 to 255, channels last",
            path=path,
        )
    return pixels[..., 0] if pixels.shape[-1] == 1 and pixels.ndim == 4 else pixels
