"""DuEE's own score of arguments: an argument that shares characters with the gold one is right in part.

    score of a predicted argument = (is its event type right) x (is its role right) x F1 of its characters
    P = sum of scores / predicted arguments,   R = sum of scores / gold arguments

The F1 of the characters of two strings counts the characters they share, however they are ordered, in lower case, as
the task's page defines it (LIC2020, Baidu AI Studio competition 32). The trigger is not scored. The page does not say
what happens where several predictions are like one gold argument; here each gold argument counts for one of them, best
pairs first. Offsets play no part.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kexue.extraction.document import Document
from kexue.extraction.metrics.matching import unplaced_facts
from kexue.extraction.metrics.scores import Counts

UNSCORED = "trigger"
Named = tuple[str, str, str]  # event type, role, surface in lower case


@dataclass(frozen=True)
class PartialOutcomes:
    """float32[documents, 1, 3] of (sum of scores, predicted, gold)."""

    table: NDArray[np.float32]

    def counts(self) -> Counts:
        """The sums over all documents."""
        correct, predicted, gold = self.table.sum((0, 1), dtype=np.float64)
        return Counts(round(float(correct), 4), int(predicted), int(gold))

    def per_document(self) -> NDArray[np.float32]:
        """Counts of each document."""
        return self.table


def compare_characters(gold: Sequence[Document], predicted: Sequence[Document]) -> PartialOutcomes:
    """Score the arguments of each document against those of its gold; equal ones count once."""
    rows = [[_document(wanted, found)] for wanted, found in zip(gold, predicted, strict=True)]
    return PartialOutcomes(np.array(rows, dtype=np.float32).reshape(len(rows), 1, 3))


def _document(gold: Document, predicted: Document) -> tuple[float, int, int]:
    wanted, found = arguments(gold), arguments(predicted)
    unplaced = sum(len(strings) for _, strings in unplaced_facts(gold, "event"))
    return sum(_best_pairs(wanted, found)), len(found), len(wanted) + unplaced


def arguments(document: Document) -> set[Named]:
    """The arguments of all events, without triggers."""
    return {
        (event.type, argument.role, argument.span.surface(document.text).lower())
        for event in document.events
        for argument in event.arguments
        if argument.role != UNSCORED
    }


def _best_pairs(wanted: Iterable[Named], found: Iterable[Named]) -> Iterable[float]:
    pairs = [(character_f1(one[2], other[2]), one, other) for one in wanted for other in found if one[:2] == other[:2]]
    taken: set[tuple[str, Named]] = set()
    for score, one, other in sorted(pairs, key=lambda pair: -pair[0]):
        if score and not {("gold", one), ("found", other)} & taken:
            taken |= {("gold", one), ("found", other)}
            yield score


def character_f1(one: str, other: str) -> float:
    """2 shared / (length + length), with repeated characters counted as often as both have them."""
    shared = sum((Counter(one) & Counter(other)).values())
    return 2 * shared / (len(one) + len(other)) if one or other else 0.0
