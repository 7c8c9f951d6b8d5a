"""Classes of images as numbers 0, 1, 2, ... and their names."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from kexue.errors import DataError


def number_labels(
    labels: Sequence[str | int | None], names: tuple[str, ...], source: str
) -> tuple[NDArray[np.int64] | None, tuple[str, ...]]:
    """long[n] and the names of the classes; (None, ()) unless every image has a class.

    With `names` the labels are already numbers into them; otherwise classes are numbered in sorted order.
    Raises `DataError` for a number that has no name.
    """
    known = [label for label in labels if label is not None]
    if not known or len(known) < len(labels):
        return None, ()
    odd = next((label for label in known if not isinstance(label, int | str)), None)
    if odd is not None:
        raise DataError(f"a class must be a number or a name, got {odd!r}", path=source)
    if names:
        wrong = next((label for label in known if isinstance(label, str) or not 0 <= label < len(names)), None)
        if wrong is not None:
            raise DataError(f"has a label {wrong!r}, but labels are numbers of the {len(names)} names", path=source)
        return np.array(known, dtype=np.int64), names
    classes = sorted(set(known), key=lambda label: (isinstance(label, str), label))
    place = {label: index for index, label in enumerate(classes)}
    return np.array([place[label] for label in known], dtype=np.int64), tuple(str(label) for label in classes)
