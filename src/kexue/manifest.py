"""The last file of a model folder: `kexue.json` with the format's version and the digests of all other files.

It is written when everything else is in place, so a folder without it, or whose files do not match it, is unfinished
or damaged, and is refused with the reason.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from kexue.errors import CheckpointError
from kexue.files import digest, refuse_absent_folder, write_json
from kexue.foreign import check_links, stays_inside
from kexue.version import __version__

MANIFEST = "kexue.json"
WRITING = ".writing"  # in a folder: the files of a model of which the manifest was not written yet


def install(partial: Path, folder: Path, content: dict[str, Any], version: tuple[int, int]) -> None:
    """Move the files of a complete folder `partial`, which is removed, into `folder`, and write the manifest last.

    What an earlier manifest of `folder` listed is removed; other files there stay.
    """
    names = [path.relative_to(partial) for path in sorted(partial.rglob("*")) if path.is_file()]
    digests = {name.as_posix(): digest(partial / name) for name in names}
    _remove_listed(folder)
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (partial / name).replace(folder / name)
    write_json(folder / MANIFEST, {"format": list(version), "kexue": __version__, **content, "files": digests})
    shutil.rmtree(partial)


def read(folder: Path, version: tuple[int, int]) -> dict[str, Any]:
    """The content of a folder's manifest, after all files were compared with it.

    Raises `CheckpointError` if a file is missing or damaged or the folder was written in a newer major version.
    """
    path = folder / MANIFEST
    refuse_absent_folder(folder)
    if not path.is_file():
        hint = " (an unfinished training: finish it with `kexue train`)" if (folder / "training").is_dir() else ""
        raise CheckpointError(f"{folder}: has no {MANIFEST}, so it is not a finished kexue model{hint}")
    check_links(folder)
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        major = manifest["format"][0]
        files = dict(manifest["files"])
        if type(major) is not int:
            raise TypeError(f"the format is {major!r}")
    except (ValueError, KeyError, TypeError, IndexError, RecursionError) as error:
        raise CheckpointError(
            f"{path}: is damaged ({type(error).__name__}: {error}); copy the whole folder again"
        ) from None
    if major > version[0]:
        raise CheckpointError(
            f"{folder}: was written by kexue {manifest.get('kexue')} in checkpoint format {major}, this kexue "
            f"{__version__} reads up to {version[0]}: upgrade with `pip install --upgrade kexue`"
        )
    _check_files(folder, files)
    return dict(manifest)


def _remove_listed(folder: Path) -> None:
    """Remove a model that is to be replaced, its manifest first."""
    path = folder / MANIFEST
    if not path.exists():
        return
    try:
        names = [folder / name for name in json.loads(path.read_text(encoding="utf-8"))["files"]]
    except (ValueError, KeyError, TypeError):
        names = []
    path.unlink()
    for name in names:
        if name.resolve().is_relative_to(folder.resolve()):
            name.unlink(missing_ok=True)


def _check_files(folder: Path, digests: dict[str, str]) -> None:
    for name, expected in digests.items():
        path = folder / name
        if not is_file(path) or not stays_inside(path, folder):
            raise CheckpointError(f"{folder}: the file {name} is missing; copy the whole folder again")
        if digest(path) != expected:
            raise CheckpointError(
                f"{path}: is damaged (its SHA-256 differs from the one in {MANIFEST}); copy the whole folder again"
            )


def is_file(path: Path) -> bool:
    """Whether there is a file; also for a name that none can have."""
    try:
        return path.is_file()
    except OSError:
        return False
