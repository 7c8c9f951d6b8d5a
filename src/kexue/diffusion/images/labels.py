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
    if not labels or any(label is None for label in labels):
        return None, ()
    if names:
        numbers = np.array(labels, dtype=np.int64)
        if numbers.min() < 0 or numbers.max() >= len(names):
            raise DataError(
                f"labels run from {numbers.min()} to {numbers.max()}, but {len(names)} have names", path=source
            )
        return numbers, names
    classes = sorted(set(labels), key=lambda label: (isinstance(label, str), label))
    place = {label: index for index, label in enumerate(classes)}
    return np.array([place[label] for label in labels], dtype=np.int64), tuple(str(label) for label in classes)
