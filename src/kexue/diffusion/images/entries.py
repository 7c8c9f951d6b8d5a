"""Images that are still closed: a name, a way to open it, perhaps a class; opened once for form and once for pixels.

The first pass reads headers only and finds the size and the mode that all images share; the second decodes.
What cannot be opened or decoded is named with the reason and left out.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from warnings import catch_warnings, simplefilter

import numpy as np
from PIL import Image, UnidentifiedImageError

from kexue.diffusion.images.form import ImageForm, is_grey
from kexue.diffusion.images.image_set import ImageSet, Skipped
from kexue.diffusion.images.labels import number_labels
from kexue.diffusion.images.pixels import Pixels, PixelScale
from kexue.errors import DataError


@dataclass(frozen=True, slots=True)
class Entry:
    """An image of a source that has not been read yet."""

    name: str
    open: Callable[[], Image.Image]
    label: str | int | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """All images of a folder, file or hub data set; `label_names` where the source itself numbers its classes."""

    name: str
    entries: Sequence[Entry]
    label_names: tuple[str, ...] = ()
    scale: PixelScale = PixelScale()  # noqa: RUF009  (frozen)


def read_source(
    source: Source, size: tuple[int, int] | None = None, mode: str | None = None, background: str = "white"
) -> ImageSet:
    """Decode a source into one form; where size or mode is None, the one that all its images share is taken.

    Raises `DataError` if no image can be read, or if sizes differ and none is given.
    """
    skipped: dict[str, str] = {}
    form = _common_form(source, size, mode, background, skipped)
    kept = [entry for entry in source.entries if entry.name not in skipped]
    pixels = _room(len(kept), form, source)
    entries: list[Entry] = []
    for entry in kept:
        with _skipping(entry, skipped), entry.open() as image:
            pixels[len(entries)] = form.apply(image)
            entries.append(entry)
    _refuse_empty(source, entries, skipped)
    labels, label_names = number_labels([entry.label for entry in entries], source.label_names, source.name)
    return ImageSet(
        pixels[: len(entries)],
        tuple(entry.name for entry in entries),
        labels,
        label_names,
        tuple(Skipped(name, reason) for name, reason in skipped.items()),
        source.scale,
    )


def _room(num: int, form: ImageForm, source: Source) -> Pixels:
    try:
        return np.empty((num, *form.shape), np.uint8)
    except (MemoryError, ValueError):
        gigabytes = num * math.prod(form.shape) / 1e9
        raise DataError(
            f"{num:,} images of {' x '.join(map(str, form.shape))} are {gigabytes:,.0f} GB, more than there is memory "
            "for: give a smaller size",
            path=source.name,
        ) from None


def _common_form(
    source: Source, size: tuple[int, int] | None, mode: str | None, background: str, skipped: dict[str, str]
) -> ImageForm:
    if size is not None and mode is not None:
        return ImageForm(size, mode, background)
    sizes: Counter[tuple[int, int]] = Counter()
    grey = True
    for entry in source.entries:
        with _skipping(entry, skipped), entry.open() as image:
            sizes[image.size[::-1]] += 1
            grey = grey and is_grey(image)
    _refuse_empty(source, list(sizes), skipped)
    if size is None and len(sizes) > 1:
        seen = ", ".join(f"{height} x {width} ({count:,})" for (height, width), count in sizes.most_common(3))
        height, width = sizes.most_common(1)[0][0]
        raise DataError(
            f"images have {len(sizes):,} sizes, such as {seen}: say which size to use, in a training for example with "
            f"--set size={height if height == width else f'[{height},{width}]'}",
            path=source.name,
        )
    return ImageForm(size or next(iter(sizes)), mode or ("L" if grey else "RGB"), background)


@contextmanager
def _skipping(entry: Entry, skipped: dict[str, str]) -> Iterator[None]:
    """Note an image that cannot be read and go on; a picture as large as a decompression bomb counts as such."""
    try:
        with catch_warnings():
            simplefilter("ignore", UserWarning)  # of a picture that is odd but can be read
            simplefilter("error", Image.DecompressionBombWarning)
            yield
    except UnidentifiedImageError:
        skipped[entry.name] = "is not an image"
    except Exception as error:  # Pillow's decoders raise errors of many kinds
        skipped[entry.name] = str(error) or type(error).__name__


def _refuse_empty(source: Source, found: Sequence[object], skipped: dict[str, str]) -> None:
    if not found:
        first = next((f"; the first: {name} ({reason})" for name, reason in skipped.items()), "")
        raise DataError(f"has no readable image ({len(skipped):,} skipped{first})", path=source.name)
