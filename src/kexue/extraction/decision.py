"""From scores to confidences and decisions, chosen on dev and stored with the model.

A fact has several scores (a span one, a triple four). Its confidence is a logistic function of the weakest and of
their mean, fitted on dev candidates (Platt, 1999, with two features). Uncalibrated, it is sigmoid(2 x weakest): the
stationary point of the multi-label loss is t = sigmoid(2 s) (kexue.fm/archives/9064), so 0.5 is the article's rule
"all scores above 0".

Thresholds are chosen by the confidences of dev, not by counting which facts of dev were right: a count jumps with every
fact, and its best point on a few hundred sentences is mostly chance. If confidences are right, the F1 to be expected of
the k surest facts is 2 sum(confidence) / (k + gold), and the threshold that is best for it is half the largest such F1
(Lipton, Elkan, Naryanaswamy 2014). It is one for all types, as far as their confidences mean the same; of a type whose
facts are right more often than their confidence says, as far as dev can tell, the threshold is lower.

Thresholds for a wanted precision are counted. A type with few dev examples borrows from the pool of all types, as if it
had `PSEUDO_COUNT` more examples that behave like the average type.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

GRID = np.round(np.arange(0.02, 1.0, 0.01), 2)  # the thresholds that are tried for a wanted precision
DEFAULT_THRESHOLD = 0.5
LEANING_PRIOR = 10.0  # inverse variance of how far, in log odds, a type leans from the confidence of all
LARGEST = 1e6  # of a calibration's weights that are read
PSEUDO_COUNT = 20.0
DIGITS = 4  # of a threshold
PRECISIONS = (0.8, 0.85, 0.9, 0.95, 0.99)  # wanted precisions for which thresholds are stored

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Confidence:
    """confidence = sigmoid(weakest * min(scores) + mean * mean(scores) + bias)."""

    weakest: float = 2.0
    mean: float = 0.0
    bias: float = 0.0

    def __call__(self, scores: Floats) -> Floats:
        """Confidences [n] in [0, 1] from scores [n, terms]."""
        if not len(scores):
            return np.zeros(0)
        logit = self.weakest * scores.min(1) + self.mean * scores.mean(1) + self.bias
        return _probability(logit)

    @classmethod
    def fit(cls, scores: Floats, correct: Bools) -> Confidence:
        """Maximum likelihood on candidates [n, terms] and whether each is right, with a weak prior on the default.

        A negative weight would let a better score lower the confidence; such a feature is left out.
        """
        if not len(scores) or correct.all() or not correct.any():
            return cls()
        features = np.stack([scores.min(1), scores.mean(1), np.ones(len(scores))], 1)
        prior = np.array([2.0, 0.0, 0.0])
        for used in ([0, 1, 2], [0, 2], [1, 2]):
            weights = np.zeros(3)
            weights[used] = _logistic_regression(features[:, used], correct, prior[used])
            if (weights[:2] >= 0).all():
                return cls(*(float(weight) for weight in weights))
        return cls()


def _logistic_regression(
    features: Floats, correct: Bools, prior: Floats, *, strength: float = 0.1, iterations: int = 50
) -> Floats:
    """Newton's method with a Gaussian prior around `prior`; converges from anywhere because steps are halved."""
    target = correct.astype(np.float64)

    def loss(weights: Floats) -> float:
        logit = features @ weights
        fit = np.logaddexp(0.0, logit).sum() - target @ logit
        return float(fit + 0.5 * strength * ((weights - prior) ** 2).sum())

    weights = prior.copy()
    for _ in range(iterations):
        probability = _probability(features @ weights)
        gradient = features.T @ (probability - target) + strength * (weights - prior)
        curvature = (features * (probability * (1 - probability))[:, None]).T @ features
        step = np.linalg.solve(curvature + strength * np.eye(len(prior)), gradient)
        scale = 1.0
        while loss(weights - scale * step) > loss(weights) and scale > 1e-4:
            scale /= 2
        weights = weights - scale * step
        if np.abs(scale * step).max() < 1e-8:
            break
    return np.asarray(weights)


@dataclass(frozen=True)
class Decision:
    """Everything that stands between scores and what is reported.

    `floor` is the score that every term of a candidate must exceed; a fact is reported if its confidence reaches
    its threshold. `wanted` holds the thresholds for each wanted precision, e.g. `wanted["0.9"]["born in"]`.
    """

    floor: float = 0.0
    entity: Confidence = field(default_factory=Confidence)
    relation: Confidence = field(default_factory=Confidence)
    entity_threshold: float = DEFAULT_THRESHOLD
    thresholds: Mapping[str, float] = field(default_factory=dict)
    wanted: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def threshold(self, predicate: str) -> float:
        """The confidence from which on a relation of this type is reported."""
        return self.thresholds.get(predicate, DEFAULT_THRESHOLD)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Decision:
        """Rebuild a decision from `to_json`; raises ValueError or TypeError for what is none."""
        values = dict(record)
        values["entity"] = Confidence(**_numbers(values["entity"], -LARGEST, LARGEST))
        values["relation"] = Confidence(**_numbers(values["relation"], -LARGEST, LARGEST))
        values["thresholds"] = _numbers(values.get("thresholds", {}), 0, 1)
        values["wanted"] = {
            str(float(precision)): _numbers(each, 0, 1) for precision, each in dict(values.get("wanted", {})).items()
        }
        decision = cls(**values)
        _numbers({"entity_threshold": decision.entity_threshold}, 0, 1)
        _numbers({"floor": decision.floor}, -LARGEST, LARGEST)
        return decision


def _numbers(values: Mapping[str, Any], low: float, high: float) -> dict[str, float]:
    """The values, each a finite number from `low` to `high`."""
    for name, value in dict(values).items():
        if type(value) not in (int, float) or not (low <= value <= high and np.isfinite(value)):
            raise ValueError(f"the decision's {name!r} is {value!r}, not a number from {low:g} to {high:g}")
    return dict(values)


@dataclass(frozen=True)
class Judged:
    """Dev candidates of one kind: scores [n, terms], label [n], whether each is right [n], gold count by label."""

    scores: Floats
    label: Ints
    correct: Bools
    gold: Ints

    @property
    def pooled(self) -> Judged:
        """All labels taken as one."""
        return Judged(self.scores, np.zeros_like(self.label), self.correct, self.gold.sum(keepdims=True))


@dataclass(frozen=True)
class CountsAbove:
    """What each threshold would report: candidates and right ones [labels, thresholds], and the gold [labels]."""

    found: Floats
    right: Floats
    gold: Floats

    @classmethod
    def of(cls, confidence: Floats, judged: Judged) -> CountsAbove:
        """Count candidates by label and by the thresholds that their confidence reaches."""
        reached = np.searchsorted(GRID, confidence, side="right")  # the first so many thresholds
        shape = (len(judged.gold), len(GRID) + 1)
        cell = np.ravel_multi_index((judged.label, reached), shape)

        def tally(weights: Floats) -> Floats:
            histogram = np.bincount(cell, weights, minlength=shape[0] * shape[1]).reshape(shape)
            return np.asarray(np.flip(np.flip(histogram, 1).cumsum(1), 1)[:, 1:])

        return cls(tally(np.ones(len(cell))), tally(judged.correct.astype(np.float64)), judged.gold.astype(np.float64))

    @property
    def pooled(self) -> CountsAbove:
        """All labels taken as one."""
        return CountsAbove(
            self.found.sum(0, keepdims=True), self.right.sum(0, keepdims=True), self.gold.sum(keepdims=True)
        )

    @property
    def smoothed(self) -> CountsAbove:
        """Each label with `PSEUDO_COUNT` gold facts more, which behave like the average of all labels."""
        pool = self.pooled
        share = PSEUDO_COUNT / max(float(pool.gold[0]), 1.0)
        return CountsAbove(
            self.found + share * pool.found, self.right + share * pool.right, self.gold + share * pool.gold
        )


def best_threshold(confidence: Floats, gold: float) -> float:
    """The confidence from which on facts are reported for the best F1, where `gold` facts are to be found.

    Half the best F1 that is to be expected of the surest k of these candidates.
    """
    surest = np.sort(confidence)[::-1]
    expected = 2 * surest.cumsum() / (np.arange(1, len(surest) + 1) + gold)
    return float(expected.max() / 2)


def leanings(confidence: Floats, judged: Judged, *, iterations: int = 50) -> Floats:
    """How much likelier the facts of each type are than their confidence, in log odds [labels].

    The most probable shifts under a Gaussian prior around 0, so that few candidates shift little; Newton's method, in
    steps of at most 1.
    """
    logit, num_labels = _log_odds(confidence), len(judged.gold)
    shift = np.zeros(num_labels)
    for _ in range(iterations):
        likely = _probability(logit + shift[judged.label])
        gradient = np.bincount(judged.label, likely - judged.correct, num_labels) + LEANING_PRIOR * shift
        curvature = np.bincount(judged.label, likely * (1 - likely), num_labels) + LEANING_PRIOR
        shift = shift - np.clip(gradient / curvature, -1, 1)
    return np.asarray(shift)


def best_thresholds(confidence: Floats, judged: Judged) -> Floats:
    """For each label the confidence from which on its facts are reported, for the best F1 over all labels.

    Where no candidate is right there is nothing to go by, and the default is taken.
    """
    if not judged.correct.any():
        return np.full(len(judged.gold), DEFAULT_THRESHOLD)
    shift = leanings(confidence, judged)
    surer = _probability(_log_odds(confidence) + shift[judged.label])
    threshold = np.array(best_threshold(surer, float(judged.gold.sum())))
    return _probability(_log_odds(threshold) - shift).round(DIGITS)


def _probability(log_odds: Floats) -> Floats:
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(log_odds, -60.0, 60.0))))


def _log_odds(probability: Floats) -> Floats:
    inside = np.clip(probability, 1e-12, 1 - 1e-12)
    return np.asarray(np.log(inside) - np.log1p(-inside))


def thresholds_for_precision(counts: CountsAbove, precision: float) -> Floats:
    """For each label the lowest threshold from which on dev precision is at least `precision`.

    Where no threshold reaches it the strictest one is taken.
    """
    borrowed = counts.smoothed
    enough = borrowed.right >= precision * borrowed.found - 1e-9
    stays = np.flip(np.logical_and.accumulate(np.flip(enough, 1), 1), 1) & (borrowed.found > 0)
    return np.asarray(np.where(stays.any(1), GRID[stays.argmax(1)], GRID[-1]))


def decide(entities: Judged, relations: Judged, predicates: tuple[str, ...], *, floor: float) -> Decision:
    """Fit both calibrations and choose all thresholds on dev candidates."""
    entity = Confidence.fit(entities.scores, entities.correct)
    relation = Confidence.fit(relations.scores, relations.correct)
    relation_confidence = relation(relations.scores)
    relation_counts = CountsAbove.of(relation_confidence, relations)
    return Decision(
        floor=floor,
        entity=entity,
        relation=relation,
        entity_threshold=float(best_thresholds(entity(entities.scores), entities.pooled)[0]),
        thresholds=_named(predicates, best_thresholds(relation_confidence, relations)),
        wanted={
            str(precision): _named(predicates, thresholds_for_precision(relation_counts, precision))
            for precision in PRECISIONS
            if len(relations.scores)
        },
    )


def _named(predicates: tuple[str, ...], values: Floats) -> dict[str, float]:
    return {name: float(value) for name, value in zip(predicates, values, strict=True)}
