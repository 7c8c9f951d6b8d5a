"""Images as arrays in an npz or npy file: uint8[n, h, w] or uint8[n, h, w, c], c of 1, 3 or 4.

An npz has them under `images` (or `x`, or as its only array of that form), numbers of classes under `labels`
(or `y`), names of classes under `label_names`, and the value of white under `max_value` where it is not 255.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from kexue.diffusion.images.entries import Entry, Source
from kexue.diffusion.images.pixels import Pixels, PixelScale
from kexue.errors import DataError

IMAGE_KEYS = ("images", "x")
LABEL_KEYS = ("labels", "y")


def array_source(path: Path) -> Source:
    """The images of an npz or npy file.

    Raises `DataError` for a damaged file, one that holds Python objects, and arrays of another form.
    """
    arrays = _load(path)
    pixels = _checked(_find_images(arrays, path), path)
    labels = next((arrays[key] for key in LABEL_KEYS if key in arrays), None)
    if labels is not None and labels.shape != (len(pixels),):
        raise DataError(f"has {len(pixels):,} images but labels of shape {labels.shape}", path=path)
    classes: list[Any] = [None] * len(pixels) if labels is None else labels.tolist()
    return Source(
        str(path),
        [
            Entry(f"{path.name}[{index}]", partial(Image.fromarray, image), label)
            for index, (image, label) in enumerate(zip(pixels, classes, strict=True))
        ],
        tuple(map(str, arrays.get("label_names", np.array([])))),
        PixelScale(_max_value(arrays, path)),
    )


def _load(path: Path) -> Mapping[str, NDArray[Any]]:
    try:
        with path.open("rb") as file:  # numpy leaves a file open that turns out to be damaged
            loaded = np.load(file, allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                return {"images": loaded}
            return {key: loaded[key] for key in loaded.files}
    except (OSError, ValueError, BadZipFile, EOFError, zlib.error) as error:
        raise DataError(f"cannot be read as arrays: {error}", path=path) from error


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
