"""Annotated text that ships with the package: `phee` (English) and `cnshipnet` (Chinese), MIT.

Where a set comes from, and by which rules it was brought into the native format, is told in its SOURCE.md.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from kexue.errors import OptionError, unknown

NAMES = ("phee", "cnshipnet")
SPLITS = ("train", "dev", "test")


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
