"""Which candidates are right: the bridge from decoding to model selection, calibration and thresholds.

A span is right if the gold has it with the same characters and label, a triple if all of it is the same. Gold that
could not be placed in the text stays in the gold count; gold labels that the model does not know are passed over, and
so are entity types where the model knows spans only as ends of relations.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from kexue.extraction.decision import Confidence, Decision, Judged
from kexue.extraction.document import Document
from kexue.extraction.inference import Found
from kexue.extraction.links import Labels, SpanLabels
from kexue.extraction.metrics.calibration_error import expected_calibration_error
from kexue.extraction.metrics.scores import Counts


@dataclass(frozen=True)
class Judgement:
    """Judged candidates of both kinds, and what the kinds are called."""

    entities: Judged
    relations: Judged
    kinds: tuple[str, str] = SpanLabels.kinds

    def f1(self) -> dict[str, float]:
        """Micro precision, recall and F1 of the article's rule: every score above 0."""
        return {
            f"{kind}_{name}": getattr(counts, name)
            for kind, counts in zip(self.kinds, map(_micro, (self.entities, self.relations)), strict=True)
            for name in ("precision", "recall", "f1")
        }


def judge(documents: Sequence[Document], found: Iterable[Found], labels: Labels) -> Judgement:
    """Compare the candidates of each document with its gold."""
    predicates = labels.predicates
    spans, triples = _Tally(labels.names, terms=1), _Tally(predicates, terms=4)
    tallies = {"entity": spans, "relation": triples}
    for item in found:
        gold_spans, gold_facts = labels.gold(documents[item.index])
        spans.count_gold([name for _, _, name in gold_spans])
        triples.count_gold([name for _, name, _ in gold_facts])
        for gold in documents[item.index].unaligned:
            if gold.kind in tallies:
                tallies[gold.kind].count_gold([gold.label])
        candidates, tokens = item.candidates, item.tokens
        places = [(tokens.starts[start], tokens.ends[end], label) for label, start, end in candidates.spans.tolist()]
        spans.add(
            candidates.span_scores[:, None],
            candidates.spans[:, 0],
            _right([(start, end, labels.names[label]) for start, end, label in places], gold_spans),
        )
        shown = [(start, end, labels.entity_label(label)) for start, end, label in places]
        triples.add(
            candidates.triple_scores,
            candidates.triples[:, 1],
            _right(
                [
                    (shown[subject], predicates[predicate], shown[object_])
                    for subject, predicate, object_ in candidates.triples.tolist()
                ],
                gold_facts,
            ),
        )
    return Judgement(spans.judged(), triples.judged(), labels.kinds)


def calibration_errors(judgement: Judgement, decision: Decision) -> dict[str, dict[str, float]]:
    """Expected calibration error before (sigmoid(2 x weakest score)) and after the calibration was fitted."""
    return {
        kind: {
            when: expected_calibration_error(calibration(judged.scores), judged.correct)
            for when, calibration in (("before", Confidence()), ("after", fitted))
        }
        for kind, judged, fitted in zip(
            judgement.kinds,
            (judgement.entities, judgement.relations),
            (decision.entity, decision.relation),
            strict=True,
        )
        if len(judged.scores)
    }


@dataclass
class _Tally:
    """Candidates of one kind as they come in: their scores, label numbers, whether they are right; gold by label."""

    names: Sequence[str]
    terms: int
    scores: list[NDArray[np.float64]] = field(default_factory=list)
    label: list[NDArray[np.int64]] = field(default_factory=list)
    correct: list[bool] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.number = {name: index for index, name in enumerate(self.names)}
        self.gold = np.zeros(len(self.names), dtype=np.int64)

    def count_gold(self, names: Iterable[str]) -> None:
        for name in names:
            if name in self.number:
                self.gold[self.number[name]] += 1

    def add(self, scores: Tensor, label: Tensor, correct: list[bool]) -> None:
        self.scores.append(scores.double().numpy())
        self.label.append(label.numpy())
        self.correct.extend(correct)

    def judged(self) -> Judged:
        return Judged(
            scores=np.concatenate(self.scores) if self.scores else np.zeros((0, self.terms)),
            label=np.concatenate([np.zeros(0, dtype=np.int64), *self.label]),
            correct=np.array(self.correct, dtype=bool),
            gold=self.gold,
        )


def _right(keys: Sequence[Hashable], gold: Collection[Hashable]) -> list[bool]:
    """Which candidates the gold has; of several that read alike (tokens that share a character) only the first."""
    seen: set[Hashable] = set()
    return [key in gold and not (key in seen or seen.add(key)) for key in keys]  # type: ignore[func-returns-value]


def _micro(judged: Judged) -> Counts:
    accepted = judged.scores.min(1, initial=np.inf) > 0
    return Counts(int((accepted & judged.correct).sum()), int(accepted.sum()), int(judged.gold.sum()))
