"""Scores counted the slow, obvious way: every gold relation is compared with every predicted one.

No keys, no sets: what "the same" means is written as a comparison of two relations.
"""

from __future__ import annotations


def same_span(one, other):
    return one.start == other.start and one.end == other.end and one.fragments == other.fragments


def same_strict(one, other, text):
    ends = [(one.subject, other.subject), (one.object, other.object)]
    return one.predicate == other.predicate and all(same_span(a, b) and a.label == b.label for a, b in ends)


def same_boundaries(one, other, text):
    ends = [(one.subject, other.subject), (one.object, other.object)]
    return one.predicate == other.predicate and all(same_span(a, b) for a, b in ends)


def same_after(shorten):
    def same(one, other, text):
        ends = [(one.subject, other.subject), (one.object, other.object)]
        return one.predicate == other.predicate and all(
            shorten(text[a.start : a.end]) == shorten(text[b.start : b.end]) for a, b in ends
        )

    return same


SAME = {
    "strict": same_strict,
    "boundaries": same_boundaries,
    "string": same_after(lambda string: string),
    "last_word": same_after(lambda string: string.split()[-1] if string.split() else string),
    "first_word": same_after(lambda string: string.split()[0] if string.split() else string),
}


def unique(relations, text, same):
    kept = []
    for relation in relations:
        if not any(same(relation, other, text) for other in kept):
            kept.append(relation)
    return kept


def count(gold, predicted, same, predicate=None):
    """(correct, predicted, gold) over all documents, of one predicate or of all."""
    correct = num_predicted = num_gold = 0
    for wanted, found in zip(gold, predicted, strict=True):
        text = wanted.text
        of_gold = unique([r for r in wanted.relations if predicate in (None, r.predicate)], text, same)
        of_predicted = unique([r for r in found.relations if predicate in (None, r.predicate)], text, same)
        num_gold += len(of_gold)
        num_predicted += len(of_predicted)
        correct += sum(any(same(a, b, text) for b in of_gold) for a in of_predicted)
    return correct, num_predicted, num_gold


def scores(correct, num_predicted, num_gold):
    precision = correct / num_predicted if num_predicted else 0.0
    recall = correct / num_gold if num_gold else 0.0
    f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    return precision, recall, f1


def percentile_interval(per_document, draws):
    """2.5th and 97.5th percentile of F1 over resamples; `draws` lists the documents that each one holds."""
    import numpy as np

    f1 = [scores(*(sum(per_document[d][column] for d in drawn) for column in range(3)))[2] for drawn in draws]
    return tuple(np.percentile(f1, [2.5, 97.5]))
