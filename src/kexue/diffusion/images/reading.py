"""Where images come from is seen from the name: a folder, a Parquet, npz or npy file, or a data set of the hub."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from kexue.diffusion.images.arrays import array_source
from kexue.diffusion.images.entries import Source, read_source
from kexue.diffusion.images.folder import folder_source
from kexue.diffusion.images.hub import PREFIX, hub_source
from kexue.diffusion.images.image_set import ImageSet
from kexue.diffusion.images.packaged import find_source
from kexue.diffusion.images.parquet import parquet_source
from kexue.errors import DataError

FILES: dict[str, Callable[[Path, str | None], Source]] = {
    ".parquet": parquet_source,
    ".npz": lambda path, _: array_source(path),
    ".npy": lambda path, _: array_source(path),
}


def read_images(
    source: str | Path,
    *,
    size: int | tuple[int, int] | None = None,
    mode: str | None = None,
    background: str = "white",
    label_column: str | None = None,
) -> ImageSet:
    """All images of a source in one form.

    Args:
        source: a folder, a .parquet, .npz or .npy file, `hub:OWNER/NAME[:SPLIT]`, or one of `PACKAGED`.
        size: height and width, or one number for both; where left out, the size that all images share.
        mode: "RGB", "L" or "RGBA"; where left out, "L" if all images are grey, else "RGB".
        background: what shows through transparent places.
        label_column: the column of classes in a table; found by its name where left out.

    Raises `DataError` if there is no readable image or the sizes differ and none is given, `OptionError` for a
    wrong mode, size or background. Images that cannot be read are named in `skipped`.
    """
    shape = (size, size) if isinstance(size, int) else size
    return read_source(_find(source, label_column), shape, mode, background)


def _find(source: str | Path, label_column: str | None) -> Source:
    if isinstance(source, str) and source.startswith(PREFIX):
        return hub_source(source, label_column)
    path = Path(find_source(str(source)))
    if path.is_dir():
        return folder_source(path)
    if not path.is_file():
        raise DataError("there is no such folder or file of images", path=path)
    if path.suffix.lower() not in FILES:
        raise DataError(f"images are read from a folder or a file {', '.join(FILES)}", path=path)
    return FILES[path.suffix.lower()](path, label_column)
