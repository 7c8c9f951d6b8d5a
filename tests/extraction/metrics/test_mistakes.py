import pytest

from kexue.extraction.document import Document, Relation, Span, Unaligned
from kexue.extraction.metrics.mistakes import MISTAKES, count_mistakes, find_mistakes

TEXT = "Aspirin caused a rash in adults"
DRUG, EFFECT = Span(0, 7, "drug"), Span(15, 21, "effect")
GOLD = Relation(DRUG, "causes", EFFECT)

NEAR = {
    "wrong entity type": Relation(DRUG, "causes", Span(15, 21, "dose")),
    "wrong predicate": Relation(DRUG, "cures", EFFECT),
    "swapped ends": Relation(EFFECT, "causes", DRUG),
    "wrong boundaries": Relation(DRUG, "causes", Span(17, 21, "effect")),
    "nothing near": Relation(DRUG, "causes", Span(25, 31, "effect")),
}


@pytest.mark.parametrize("kind", NEAR)
def test_a_missed_and_a_spurious_relation_that_are_one_mistake_say_the_same(kind):
    found = find_mistakes(Document(TEXT, relations=[GOLD]), Document(TEXT, relations=[NEAR[kind]]))
    assert [(m.relation, m.state, m.kind) for m in found] == [
        (GOLD, "missed", kind),
        (NEAR[kind], "spurious", kind),
    ]


def test_the_nearest_of_several_wrong_relations_gives_the_kind():
    predicted = Document(TEXT, relations=[NEAR["nothing near"], NEAR["wrong boundaries"], NEAR["wrong predicate"]])
    missed = find_mistakes(Document(TEXT, relations=[GOLD]), predicted)[0]
    assert missed.kind == "wrong predicate"


def test_a_right_relation_explains_no_mistake():
    predicted = Document(TEXT, relations=[GOLD, NEAR["wrong predicate"]])
    found = find_mistakes(Document(TEXT, relations=[GOLD]), predicted)
    assert [(m.state, m.kind) for m in found] == [("spurious", "nothing near")]


def test_touching_spans_do_not_overlap():
    touching = Relation(Span(7, 14, "drug"), "causes", EFFECT)
    found = find_mistakes(Document(TEXT, relations=[GOLD]), Document(TEXT, relations=[touching]))
    assert {mistake.kind for mistake in found} == {"nothing near"}


def test_relations_without_a_place_are_counted_apart():
    lost = Unaligned("relation", "causes", ("Ibuprofen", "rash"), "not in the text")
    totals = count_mistakes([Document(TEXT, unaligned=[lost])], [Document(TEXT)])
    assert list(totals) == list(MISTAKES)
    assert totals["not placed"] == {"missed": 1, "spurious": 0}
