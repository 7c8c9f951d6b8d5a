"""Annotated text that ships with the package: `phee` (English) and `cnshipnet` (Chinese), MIT.

Where a set comes from, and by which rules it was brought into the native format, is told in its SOURCE.md.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from kexue.errors import OptionError, unknown

NAMES = ("phee", "cnshipnet")
SPLITS = ("train", "dev", "test")
LICENCES = {"phee": "MIT", "cnshipnet": "MIT", "digits": "CC BY 4.0", "tiles": "CC0 1.0"}
"""Of all sets in the package, those of images too."""


def demo_path(name: str, split: str) -> Path:
    """The file of one split of a demo set: native JSON Lines, compressed with gzip.

    Raises `OptionError` for a set or a split that the package does not have.

    >>> demo_path("phee", "test").name
    'test.jsonl.gz'
    """
    for kind, value, allowed in (("demo set", name, NAMES), ("split", split, SPLITS)):
        if value not in allowed:
            raise OptionError(unknown(kind, value, allowed))
    return Path(str(resources.files(__name__) / name / f"{split}.jsonl.gz"))


def packaged_files() -> dict[str, list[Path]]:
    """The data files of each set in the package."""
    folder = Path(str(resources.files(__name__)))
    return {
        name: sorted(path for path in (folder / name).iterdir() if path.suffix in (".gz", ".npz")) for name in LICENCES
    }
