"""What went wrong with a relation: nearly right in which respect, or not at all.

Under the strict matching a wrong relation is missed (only the gold has it) or spurious (only the prediction
has it). Its kind comes from the nearest wrong relation on the other side of the same document, so that a
missed and a spurious relation that are one mistake say the same.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from kexue.extraction.document import Document, Relation, Span
from kexue.extraction.metrics.matching import STRICT, Key, pieces, relation_key, unplaced_facts

State = Literal["missed", "spurious"]

MISTAKES = (
    "wrong entity type",  # same predicate and places
    "wrong predicate",  # same places
    "swapped ends",  # same predicate, subject and object exchanged
    "wrong boundaries",  # same predicate, both ends overlap
    "nothing near",
    "not placed",  # gold whose strings could not be placed in the text: only strings can match it
)


@dataclass(frozen=True, slots=True)
class Mistake:
    """A wrong relation, on which side it is, and its kind, one of `MISTAKES`."""

    relation: Relation
    state: State
    kind: str


def find_mistakes(gold: Document, predicted: Document) -> list[Mistake]:
    """The wrong relations that have a place, missed ones first, each side in the order of its document."""
    wanted, found = _by_key(gold), _by_key(predicted)
    missed = [relation for key, relation in wanted.items() if key not in found]
    spurious = [relation for key, relation in found.items() if key not in wanted]
    return [
        *(Mistake(relation, "missed", kind) for relation, kind in zip(missed, _kinds(missed, spurious), strict=True)),
        *(
            Mistake(relation, "spurious", kind)
            for relation, kind in zip(spurious, _kinds(spurious, missed), strict=True)
        ),
    ]


def count_mistakes(gold: Sequence[Document], predicted: Sequence[Document]) -> dict[str, dict[str, int]]:
    """How many relations are missed and how many are spurious, by kind."""
    totals = {kind: {"missed": 0, "spurious": 0} for kind in MISTAKES}
    for wanted, found in zip(gold, predicted, strict=True):
        for mistake in find_mistakes(wanted, found):
            totals[mistake.kind][mistake.state] += 1
        totals["not placed"]["missed"] += len(unplaced_facts(wanted, "relation"))
        totals["not placed"]["spurious"] += len(unplaced_facts(found, "relation"))
    return totals


def _by_key(document: Document) -> dict[Key, Relation]:
    return {relation_key(relation, document.text, STRICT): relation for relation in document.relations}


def _kinds(relations: Iterable[Relation], others: Iterable[Relation]) -> list[str]:
    """For each relation the first kind in `MISTAKES` that holds between it and one of the others."""
    near: dict[Hashable, list[Relation]] = defaultdict(list)  # only these can be of a kind
    for other in others:
        near[other.predicate].append(other)
        near[_places(other)].append(other)
    return [
        min(
            (_kind(relation, other) for other in near[relation.predicate] + near[_places(relation)]),
            key=MISTAKES.index,
            default="nothing near",
        )
        for relation in relations
    ]


def _kind(relation: Relation, other: Relation) -> str:
    ends, others = _places(relation), _places(other)
    if relation.predicate != other.predicate:
        return "wrong predicate" if ends == others else "nothing near"
    if ends == others:
        return "wrong entity type"
    if ends == others[::-1]:
        return "swapped ends"
    overlap = _overlap(relation.subject, other.subject) and _overlap(relation.object, other.object)
    return "wrong boundaries" if overlap else "nothing near"


def _places(relation: Relation) -> tuple[Hashable, Hashable]:
    return pieces(relation.subject), pieces(relation.object)


def _overlap(one: Span, other: Span) -> bool:
    return one.start < other.end and other.start < one.end
