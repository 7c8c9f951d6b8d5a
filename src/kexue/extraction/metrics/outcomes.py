"""One row per fact: in which document it is, whether the gold has it, whether it was predicted.

Every score is a sum over some of these rows: all of them (micro), those of one label, those of the documents
of one pattern, those of one distance, those of a resample of the documents.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kexue.extraction.metrics.matching import Key
from kexue.extraction.metrics.scores import Counts


@dataclass(frozen=True)
class Outcomes:
    """The facts of all documents: `keys` and `document` give what and where, `flags` the outcome.

    `document` is int[facts]; `flags` is float32[facts, 3] of (correct, predicted, gold), each 0 or 1.
    """

    num_documents: int
    keys: tuple[Key, ...]
    document: NDArray[np.int64]
    flags: NDArray[np.float32]

    def counts(self) -> Counts:
        """The sums over all facts."""
        return _counts(self.flags.sum(axis=0, dtype=np.float64))

    def labels(self) -> list[str]:
        """The label of each fact."""
        return [key[0] for key in self.keys]

    def by(self, names: Sequence[str]) -> dict[str, Counts]:
        """Counts of the facts of each name, where fact i has the name `names[i]`; sorted by name."""
        groups, index = _index(names)
        totals = np.stack(
            [np.bincount(index, weights=column, minlength=len(groups)) for column in self.flags.T], axis=-1
        )
        return {name: _counts(total) for name, total in zip(groups, totals, strict=True)}

    def per_document(self) -> NDArray[np.float32]:
        """Counts of each document: float32[documents, 1, 3]."""
        return self._table(np.zeros(len(self.keys), dtype=np.int64), 1)

    def per_document_and_label(self) -> NDArray[np.float32]:
        """Counts of each document and label: float32[documents, labels, 3], labels sorted as in `by`."""
        groups, index = _index(self.labels())
        return self._table(index, len(groups))

    def _table(self, group: NDArray[np.int64], num_groups: int) -> NDArray[np.float32]:
        table = np.zeros((self.num_documents * num_groups, 3), dtype=np.float32)
        np.add.at(table, self.document * num_groups + group, self.flags)
        return table.reshape(self.num_documents, num_groups, 3)


def compare(gold: Iterable[AbstractSet[Key]], predicted: Iterable[AbstractSet[Key]]) -> Outcomes:
    """Compare the keys of each document's gold and predicted facts, document by document, as sets."""
    keys: list[Key] = []
    sizes: list[int] = []
    flags: list[tuple[bool, bool, bool]] = []
    for wanted, found in zip(gold, predicted, strict=True):
        union = wanted | found
        keys += union
        sizes.append(len(union))
        flags += [(key in wanted and key in found, key in found, key in wanted) for key in union]
    return Outcomes(
        num_documents=len(sizes),
        keys=tuple(keys),
        document=np.repeat(np.arange(len(sizes), dtype=np.int64), sizes),
        flags=np.array(flags, dtype=np.float32).reshape(-1, 3),
    )


def _index(names: Sequence[str]) -> tuple[list[str], NDArray[np.int64]]:
    groups = sorted(set(names))
    order = {name: number for number, name in enumerate(groups)}
    return groups, np.array([order[name] for name in names], dtype=np.int64)


def _counts(total: NDArray[np.floating]) -> Counts:
    correct, predicted, gold = (int(value) for value in total)
    return Counts(correct, predicted, gold)
