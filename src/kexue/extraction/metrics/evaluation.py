"""Everything that is measured of predicted documents against gold ones, in one pass, as one object.

The scores named first, `relations.f1` and `entities.f1`, are micro F1 under the strict matching: offsets and
labels must agree. The other matchings stand beside them under their names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from kexue.extraction.document import Document
from kexue.extraction.metrics.bootstrap import Bootstrap
from kexue.extraction.metrics.breakdown import Breakdown, break_down
from kexue.extraction.metrics.characters import PartialOutcomes, compare_characters
from kexue.extraction.metrics.compatibility import PEER_COUNTS, count_as
from kexue.extraction.metrics.matching import (
    ENTITY_MATCHINGS,
    EVENT_MATCHINGS,
    RELATION_MATCHINGS,
    Key,
    relation_keys,
)
from kexue.extraction.metrics.outcomes import Outcomes, compare
from kexue.extraction.metrics.pairing import check_paired
from kexue.extraction.metrics.scores import Counts, Macro, macro

Keys = Callable[[Document], set[Key]]


@dataclass(frozen=True)
class Score:
    """Micro counts with the interval of their F1, which is None where no resamples were asked for."""

    counts: Counts
    interval: tuple[float, float] | None

    def to_json(self) -> dict[str, Any]:
        """Scores, counts and the interval [low, high] of the F1."""
        return self.counts.to_json() | {"interval": None if self.interval is None else list(self.interval)}


@dataclass(frozen=True)
class Part:
    """The scores of one kind of fact under each matching, the first of which names the headline scores."""

    matchings: Mapping[str, Score]
    macro: Macro
    by_label: Mapping[str, Score]

    @property
    def headline(self) -> Score:
        return next(iter(self.matchings.values()))

    def to_json(self) -> dict[str, Any]:
        """The headline scores, then those of every matching, the macro means and the labels."""
        return {
            **self.headline.to_json(),
            "matching": next(iter(self.matchings)),
            **{name: score.to_json() for name, score in self.matchings.items()},
            "macro": self.macro.to_json(),
            "by_label": {label: score.to_json() for label, score in self.by_label.items()},
        }

    def summary(self) -> dict[str, Any]:
        """The headline scores, those of each label too."""
        return {
            **self.headline.to_json(),
            "by_label": {label: score.to_json() for label, score in self.by_label.items()},
        }


@dataclass(frozen=True)
class Evaluation:
    """What `evaluate` measured. `events` is None where no document has any."""

    num_documents: int
    relations: Part
    entities: Part
    events: Part | None
    breakdown: Breakdown
    as_peers_count: Mapping[str, Counts]
    bootstrap: Bootstrap

    def to_json(self) -> dict[str, Any]:
        """Nested plain values: `relations.f1`, `relations.interval`, `entities.boundaries.f1`, and so on."""
        return {
            "documents": self.num_documents,
            "relations": self.relations.to_json() | self.breakdown.to_json(),
            "entities": self.entities.to_json(),
            **({} if self.events is None else {"events": self.events.to_json()}),
            "as_peers_count": {name: counts.to_json() for name, counts in self.as_peers_count.items()},
            "bootstrap": {
                "samples": self.bootstrap.num_samples,
                "seed": self.bootstrap.seed,
                "confidence": self.bootstrap.confidence,
                "resampled": "documents",
            },
        }

    def summary(self) -> dict[str, Any]:
        """The headline scores of every kind of fact that the gold or the predictions hold, those of each label too."""
        parts = {"entities": self.entities, "relations": self.relations, "events": self.events}
        told = {
            kind: part.summary()
            for kind, part in parts.items()
            if part is not None and part.headline.counts.gold + part.headline.counts.predicted
        }
        return {"documents": self.num_documents, **told}


def evaluate(
    gold: Sequence[Document], predicted: Sequence[Document], *, bootstrap_samples: int = 1000, seed: int = 0
) -> Evaluation:
    """Compare predicted documents with gold ones, which must be the same texts in the same order.

    Raises `DataError` if they are not. Intervals come from `bootstrap_samples` resamples of the documents (0
    for none) drawn from `seed`. Gold that could not be placed in its text stays in every gold count, except
    under `as_peers_count` where a peer drops it.
    """
    check_paired(gold, predicted)
    bootstrap = Bootstrap(bootstrap_samples, seed)
    part = partial(_part, gold, predicted, bootstrap)
    relations: dict[str, Keys] = {
        name: partial(relation_keys, matching=matching) for name, matching in RELATION_MATCHINGS.items()
    }
    return Evaluation(
        num_documents=len(gold),
        relations=part(relations),
        entities=part(ENTITY_MATCHINGS),
        events=_events(part, gold, predicted) if _have_events(gold) or _have_events(predicted) else None,
        breakdown=break_down(gold, predicted),
        as_peers_count={name: count_as(peer, gold, predicted) for name, peer in PEER_COUNTS.items()},
        bootstrap=bootstrap,
    )


def _have_events(documents: Sequence[Document]) -> bool:
    return any(document.events or any(item.kind == "event" for item in document.unaligned) for document in documents)


def _events(part: Callable[..., Part], gold: Sequence[Document], predicted: Sequence[Document]) -> Part:
    """Events and arguments that are wholly right, and DuEE's score of arguments that are so in part."""
    return part(EVENT_MATCHINGS, {"characters": compare_characters(gold, predicted)})


def _part(
    gold: Sequence[Document],
    predicted: Sequence[Document],
    bootstrap: Bootstrap,
    matchings: Mapping[str, Keys],
    others: Mapping[str, PartialOutcomes] | None = None,
) -> Part:
    compared = {name: compare(map(keys, gold), map(keys, predicted)) for name, keys in matchings.items()}
    headline = next(iter(compared.values()))
    by_label = headline.by(headline.labels())
    outcomes: dict[str, Outcomes | PartialOutcomes] = {**compared, **(others or {})}
    intervals = bootstrap.f1_intervals(
        np.concatenate(
            [*(each.per_document() for each in outcomes.values()), headline.per_document_and_label()], axis=1
        )
    )
    scores = [
        Score(counts, interval)
        for counts, interval in zip(
            [*(each.counts() for each in outcomes.values()), *by_label.values()], intervals, strict=True
        )
    ]
    return Part(
        matchings=dict(zip(outcomes, scores[: len(outcomes)], strict=True)),
        macro=macro(by_label.values()),
        by_label=dict(zip(by_label, scores[len(outcomes) :], strict=True)),
    )
