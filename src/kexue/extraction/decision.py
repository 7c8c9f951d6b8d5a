"""From scores to confidences and decisions, chosen on dev and stored with the model.

A fact has several scores (a span one, a triple four). Its confidence is a logistic function of the weakest and of
their mean, fitted on dev candidates (Platt, 1999, with two features). Uncalibrated, it is sigmoid(2 x weakest): the
stationary point of the multi-label loss is t = sigmoid(2 s) (kexue.fm/archives/9064), so 0.5 is the article's rule
"all scores above 0".

A threshold is chosen for each relation type. A type with few dev examples borrows from the pool of all types, as if
it had `PSEUDO_COUNT` more examples that behave like the average type.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

GRID = np.round(np.arange(0.02, 1.0, 0.01), 2)  # the thresholds that are tried
DEFAULT_THRESHOLD = 0.5
LARGEST = 1e6  # of a calibration's weights that are read
PSEUDO_COUNT = 20.0
PRECISIONS = (0.8, 0.85, 0.9, 0.95, 0.99)  # wanted precisions for which thresholds are stored

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Calibration:
    """confidence = sigmoid(weakest * min(scores) + mean * mean(scores) + bias)."""

    weakest: float = 2.0
    mean: float = 0.0
    bias: float = 0.0

    def __call__(self, scores: Floats) -> Floats:
        """Confidences [n] in [0, 1] from scores [n, terms]."""
        if not len(scores):
            return np.zeros(0)
        logit = self.weakest * scores.min(1) + self.mean * scores.mean(1) + self.bias
        return np.asarray(1.0 / (1.0 + np.exp(-np.clip(logit, -60.0, 60.0))))

    @classmethod
    def fit(cls, scores: Floats, correct: Bools) -> Calibration:
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
        probability = 1.0 / (1.0 + np.exp(-np.clip(features @ weights, -60.0, 60.0)))
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
    entity: Calibration = field(default_factory=Calibration)
    relation: Calibration = field(default_factory=Calibration)
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
        values["entity"] = Calibration(**_numbers(values["entity"], -LARGEST, LARGEST))
        values["relation"] = Calibration(**_numbers(values["relation"], -LARGEST, LARGEST))
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


@dataclass(frozen=True)
class Counts:
    """What each threshold would report: candidates and right ones [labels, thresholds], and the gold [labels]."""

    found: Floats
    right: Floats
    gold: Floats

    @classmethod
    def of(cls, confidence: Floats, judged: Judged) -> Counts:
        """Count candidates by label and by the thresholds that their confidence reaches."""
        reached = np.searchsorted(GRID, confidence, side="right")  # the first so many thresholds
        shape = (len(judged.gold), len(GRID) + 1)
        cell = np.ravel_multi_index((judged.label, reached), shape)

        def tally(weights: Floats) -> Floats:
            histogram = np.bincount(cell, weights, minlength=shape[0] * shape[1]).reshape(shape)
            return np.asarray(np.flip(np.flip(histogram, 1).cumsum(1), 1)[:, 1:])

        return cls(tally(np.ones(len(cell))), tally(judged.correct.astype(np.float64)), judged.gold.astype(np.float64))

    @property
    def pooled(self) -> Counts:
        """All labels taken as one."""
        return Counts(self.found.sum(0, keepdims=True), self.right.sum(0, keepdims=True), self.gold.sum(keepdims=True))

    @property
    def smoothed(self) -> Counts:
        """Each label with `PSEUDO_COUNT` gold facts more, which behave like the average of all labels."""
        pool = self.pooled
        share = PSEUDO_COUNT / max(float(pool.gold[0]), 1.0)
        return Counts(self.found + share * pool.found, self.right + share * pool.right, self.gold + share * pool.gold)

    @property
    def f1(self) -> Floats:
        """[labels, thresholds]."""
        return np.asarray(2 * self.right / np.maximum(self.found + self.gold[:, None], 1e-9))


def best_thresholds(counts: Counts) -> Floats:
    """For each label the threshold with the best F1 on dev, after borrowing from the pool.

    Where no candidate is right all thresholds are equally bad, and the default is taken.
    """
    f1 = counts.smoothed.f1
    # Among equals the threshold that is best for the pool is taken, and among these the one nearest to the default.
    preference = 1e-6 * counts.pooled.f1 - 1e-9 * np.abs(GRID - DEFAULT_THRESHOLD)
    best = GRID[(f1 + preference).argmax(1)]
    return np.where(f1.max(1) > 0, best, DEFAULT_THRESHOLD)


def thresholds_for_precision(counts: Counts, precision: float) -> Floats:
    """For each label the lowest threshold from which on dev precision is at least `precision`.

    Where no threshold reaches it the strictest one is taken.
    """
    borrowed = counts.smoothed
    enough = borrowed.right >= precision * borrowed.found - 1e-9
    stays = np.flip(np.logical_and.accumulate(np.flip(enough, 1), 1), 1) & (borrowed.found > 0)
    return np.asarray(np.where(stays.any(1), GRID[stays.argmax(1)], GRID[-1]))


def decide(entities: Judged, relations: Judged, predicates: tuple[str, ...], *, floor: float) -> Decision:
    """Fit both calibrations and choose all thresholds on dev candidates."""
    entity = Calibration.fit(entities.scores, entities.correct)
    relation = Calibration.fit(relations.scores, relations.correct)
    entity_counts = Counts.of(entity(entities.scores), entities).pooled
    relation_counts = Counts.of(relation(relations.scores), relations)
    return Decision(
        floor=floor,
        entity=entity,
        relation=relation,
        entity_threshold=float(best_thresholds(entity_counts)[0]),
        thresholds=_named(predicates, best_thresholds(relation_counts)),
        wanted={
            str(precision): _named(predicates, thresholds_for_precision(relation_counts, precision))
            for precision in PRECISIONS
            if len(relations.scores)
        },
    )


def _named(predicates: tuple[str, ...], values: Floats) -> dict[str, float]:
    return {name: float(value) for name, value in zip(predicates, values, strict=True)}
