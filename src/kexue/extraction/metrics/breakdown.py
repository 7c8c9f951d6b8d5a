"""Where relations are found and where they are missed: by overlap, number of triples, distance, mistake.

The classes of a document are those of its gold, so each class is scored as if its documents were a data set.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kexue.extraction.document import Document
from kexue.extraction.metrics.calibration_error import Calibration, calibration
from kexue.extraction.metrics.compatibility import PEER_COUNTS, casrel_patterns
from kexue.extraction.metrics.distance import DISTANCES, distance_bucket, word_starts
from kexue.extraction.metrics.matching import STRICT, Key, relation_key, relation_keys
from kexue.extraction.metrics.mistakes import count_mistakes
from kexue.extraction.metrics.outcomes import Outcomes, compare
from kexue.extraction.metrics.patterns import (
    PATTERNS,
    TRIPLE_COUNTS,
    gold_triples,
    overlap_patterns,
    triple_count,
)
from kexue.extraction.metrics.scores import Counts


@dataclass(frozen=True)
class Subset:
    """The strict scores of the documents of one class."""

    num_documents: int
    counts: Counts

    def to_json(self) -> dict[str, Any]:
        """How many documents, and their scores."""
        return {"documents": self.num_documents} | self.counts.to_json()


@dataclass(frozen=True)
class Breakdown:
    """Strict scores of relations, class by class; `by_casrel_pattern` has CasRel's classes and partial match.

    `mistakes` counts, for each kind of mistake, the relations missed and the spurious ones.
    """

    by_pattern: Mapping[str, Subset]
    by_casrel_pattern: Mapping[str, Subset]
    by_triple_count: Mapping[str, Subset]
    by_distance: Mapping[str, Counts]
    mistakes: Mapping[str, Mapping[str, int]]
    calibration: Calibration | None

    def to_json(self) -> dict[str, Any]:
        """Each breakdown by its name."""
        return {
            "by_pattern": {name: subset.to_json() for name, subset in self.by_pattern.items()},
            "by_casrel_pattern": {name: subset.to_json() for name, subset in self.by_casrel_pattern.items()},
            "by_triple_count": {name: subset.to_json() for name, subset in self.by_triple_count.items()},
            "by_distance": {name: counts.to_json() for name, counts in self.by_distance.items()},
            "mistakes": {kind: dict(counts) for kind, counts in self.mistakes.items()},
            "calibration": None if self.calibration is None else self.calibration.to_json(),
        }


def break_down(gold: Sequence[Document], predicted: Sequence[Document]) -> Breakdown:
    """All breakdowns of paired documents."""
    strict = compare(map(_strict_keys, gold), map(_strict_keys, predicted))
    casrel_keys = PEER_COUNTS["casrel_partial"].keys
    casrel = compare(map(casrel_keys, gold), map(casrel_keys, predicted))
    triples = [gold_triples(document) for document in gold]
    return Breakdown(
        by_pattern=_by_class(strict, [overlap_patterns(mine) for mine in triples], PATTERNS),
        by_casrel_pattern=_by_class(casrel, [casrel_patterns(document) for document in gold], PATTERNS),
        by_triple_count=_by_class(strict, [(triple_count(len(mine)),) for mine in triples], TRIPLE_COUNTS),
        by_distance=_by_distance(strict, gold),
        mistakes=count_mistakes(gold, predicted),
        calibration=_calibration(strict, predicted),
    )


def _strict_keys(document: Document) -> set[Key]:
    return relation_keys(document, STRICT)


def _by_class(outcomes: Outcomes, classes: Sequence[tuple[str, ...]], names: Sequence[str]) -> dict[str, Subset]:
    """Scores of the documents of each class; `classes[i]` are those of document i, which may be several."""
    per_document = outcomes.per_document()[:, 0]
    subsets = {}
    for name in names:
        chosen = np.array([name in mine for mine in classes])
        correct, found, wanted = per_document[chosen].sum(axis=0, dtype=np.float64)
        subsets[name] = Subset(int(chosen.sum()), Counts(int(correct), int(found), int(wanted)))
    return subsets


def _by_distance(outcomes: Outcomes, gold: Sequence[Document]) -> dict[str, Counts]:
    starts = [word_starts(document.text) for document in gold]
    found = outcomes.by(
        [distance_bucket(key, starts[document]) for key, document in zip(outcomes.keys, outcomes.document, strict=True)]
    )
    return {name: found.get(name, Counts()) for name in DISTANCES}


def _calibration(strict: Outcomes, predicted: Sequence[Document]) -> Calibration | None:
    """How well the confidences of predicted relations are calibrated; None if they carry none."""
    scores = [
        {relation_key(relation, document.text, STRICT): relation.score for relation in document.relations}
        for document in predicted
    ]
    known = [
        (score, correct)
        for key, document, (correct, _, _) in zip(strict.keys, strict.document, strict.flags, strict=True)
        if (score := scores[document].get(key)) is not None
    ]
    if not known:
        return None
    confidences, correct = zip(*known, strict=True)
    return calibration(confidences, correct)
