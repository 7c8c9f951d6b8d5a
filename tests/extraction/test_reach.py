"""How far a model looks is what its training data showed it, with a margin, and travels with the model."""

from __future__ import annotations

from kexue.extraction.links import Links
from kexue.extraction.reach import LEAST, Reach

FAR = Links(spans=[(0, 3, 3), (1, 10, 29)], triples=[(0, 10, 29, 90, 95), (0, 60, 60, 3, 3)])


def test_twice_the_widest_span_and_the_farthest_relation_are_within_reach():
    assert Reach.of([Links(), FAR]) == Reach(span_width=40, link_distance=160)


def test_short_spans_leave_some_room():
    assert Reach.of([Links(spans=[(0, 3, 3)], triples=[(0, 3, 3, 3, 3)])]) == Reach(
        span_width=LEAST, link_distance=LEAST
    )


def test_a_model_without_training_data_looks_anywhere():
    assert Reach() == Reach(span_width=None, link_distance=None)
