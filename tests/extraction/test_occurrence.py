"""Where a string stands: words, candidates, rules."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kexue.benchmarks.occurrence import lines, load, measure
from kexue.extraction.document import Document, Relation, Span
from kexue.extraction.occurrence import (
    CLAUSE_COST,
    DEFAULT_RULE,
    OCCURRENCE_RULES,
    StringTriple,
    ambiguous,
    occurrences,
    place_entity,
    place_triples,
)
from kexue.extraction.words import is_whole_word

WORDS = st.sampled_from(["ab", "a", "b", "鲁", "鲁迅", "e\u0301", "😀"])
GAPS = st.sampled_from([" ", ", ", ". ", "", "。", "\r\n"])
TEXTS = st.lists(st.tuples(WORDS, GAPS), min_size=1, max_size=8).map(lambda parts: "".join(w + g for w, g in parts))


def place(text, *triples, rule=DEFAULT_RULE):
    relations, unaligned = place_triples(text, [StringTriple(s, "r", o) for s, o in triples], rule=rule)
    assert unaligned == []
    return [((r.subject.start, r.subject.end), (r.object.start, r.object.end)) for r in relations]


@pytest.mark.parametrize(
    ("text", "surface", "starts"),
    [
        ("Haitian troops left Haiti.", "Haiti", [20]),
        ("Haitian troops", "Haiti", [0]),  # better inside a word than nowhere
        ("15 of 5 and 1.5 or 5,000 or 5.", "5", [6, 28]),
        ("船长114m，型宽14m", "14m", [9]),
        ("张三丰与张三", "张三", [0, 4]),
        ("cafe\u0301 cafe", "cafe", [6]),
        ("👩\u200d🔬 and 👩", "👩", [8]),
        ("《Java程序》", "java程序", [1]),
        ("9480KW", " 9480kw ", [0]),
        ("İstanbul istanbul", "istanbul", [9]),
        ("a-b", "b", [2]),
        ("aXa", "", []),
        ("a", "z", []),
    ],
)
def test_occurrences_are_whole_words_where_there_are_any(text, surface, starts):
    assert [start for start, _ in occurrences(text, surface)] == starts


@given(TEXTS, WORDS)
def test_occurrences_show_the_surface_and_leave_no_whole_word_out(text, surface):
    found = occurrences(text, surface)
    assert all(text[start:end] == surface for start, end in found)
    everywhere = [(i, i + len(surface)) for i in range(len(text)) if text.startswith(surface, i)]
    whole = [place for place in everywhere if is_whole_word(text, *place)]
    assert found == (whole or everywhere)


def test_ambiguous_names_the_choice_and_nothing_where_there_is_none():
    assert ambiguous("a b a", "a") == [(0, 1), (4, 5)]
    assert ambiguous("a b ab", "a") == []


def test_an_entity_stands_for_all_its_occurrences():
    assert place_entity("a b a", "a", "T") == [Span(0, 1, "T"), Span(4, 5, "T")]


def test_a_surface_is_not_sought_inside_a_longer_one():
    assert place("A.C. Cesena plays in Cesena", ("A.C. Cesena", "Cesena")) == [((0, 11), (21, 27))]
    text = "Indian ports on the Indian Ocean: Goa"
    relations, _ = place_triples(text, [StringTriple("Goa", "in", "Indian")], ["Indian Ocean"])
    assert relations[0].object.start == 0


def test_a_surface_that_stands_only_inside_a_longer_one_is_found_there():
    assert place("A.C. Cesena", ("A.C. Cesena", "Cesena")) == [((0, 11), (5, 11))]


def test_the_nearest_pair_within_a_clause_is_taken():
    text = "Ohio and its rivers. Fernald, Ohio, and the Mound Plant in Ohio"
    assert place(text, ("Mound Plant", "Ohio"), ("Fernald", "Ohio")) == [
        ((44, 55), (59, 63)),
        ((21, 28), (30, 34)),
    ]
    near = "Weiss allegedly killed her. Booth; Weiss was young"
    assert place(near, ("Weiss", "her")) == [((0, 5), (23, 26))]


def test_a_clause_end_costs_what_is_stated():
    gap = "x" * (CLAUSE_COST - 2)
    assert place(f"b {gap} a. b", ("a", "b")) == [((CLAUSE_COST + 1, CLAUSE_COST + 2), (0, 1))]
    assert place(f"b {gap}xxxx a. b", ("a", "b"))[0][1] != (0, 1)


def test_two_ends_of_one_surface_are_two_mentions():
    assert place("Aerosmith (Aerosmith, 1973)", ("Aerosmith", "Aerosmith")) == [((0, 9), (11, 20))]
    assert place("Aerosmith", ("Aerosmith", "Aerosmith")) == [((0, 9), (0, 9))]


@given(TEXTS, st.lists(st.tuples(WORDS, WORDS), min_size=1, max_size=4, unique=True))
def test_the_nearest_rule_equals_a_search_over_all_pairs(text, pairs):
    def distance(one, other):
        (_, left), (right, _) = sorted((one, other))
        return right - left if right >= left else 10**9

    known = [(s, o) for s, o in pairs if s in text and o in text]
    for (s, o), chosen in zip(known, place(text, *known, rule=OCCURRENCE_RULES["nearest word"]), strict=True):
        every = itertools.product(occurrences(text, s), occurrences(text, o))
        assert distance(*chosen) == min(distance(*pair) for pair in every)


@pytest.mark.parametrize("name", OCCURRENCE_RULES)
@given(TEXTS, st.lists(st.tuples(WORDS, WORDS), max_size=4, unique=True))
def test_every_rule_gives_every_triple_back_once(name, text, pairs):
    triples = [StringTriple(subject, "r", object, "S", "O") for subject, object in pairs]
    relations, unaligned = place_triples(text, triples, rule=OCCURRENCE_RULES[name])
    found = [(r.subject.surface(text), r.object.surface(text)) for r in relations]
    assert sorted(found + [item.strings for item in unaligned]) == sorted(pairs)
    assert all(r.subject.label == "S" and r.object.label == "O" for r in relations)


def test_what_is_not_found_is_kept_with_the_reason():
    triples = [StringTriple("x", "r", "a"), StringTriple("y", "r", " "), StringTriple("a", "r", "a")]
    relations, unaligned = place_triples("a", triples)
    assert [item.reason for item in unaligned] == [
        "the subject 'x' is not in the text",
        "the subject 'y' is not in the text; the object is empty",
    ]
    assert len(relations) == 1


def test_a_surface_with_thousands_of_occurrences_is_placed_at_once():
    ((subject, object),) = place("他 说 " * 20_000 + "end", ("他", "说"))
    assert object[0] - subject[1] == 1


def test_measuring_counts_all_and_ambiguous_triples():
    near = Relation(Span(2, 3), "r", Span(4, 5))  # "a" at 0 and 4
    document = Document("a b a", relations=[near])
    assert measure([document], OCCURRENCE_RULES["first"]).on_ambiguous == 0
    far = Document("a b", relations=[Relation(Span(0, 1), "r", Span(2, 3))])
    accuracy = measure([document, far], OCCURRENCE_RULES["first"])
    assert (accuracy.num_triples, accuracy.num_ambiguous, accuracy.overall) == (2, 1, 0.5)


def test_a_document_is_cut_into_its_lines():
    text = "no\nab cd\nef"
    inside, across = Relation(Span(3, 5), "r", Span(6, 8)), Relation(Span(3, 5), "r", Span(9, 11))
    (line,) = lines(Document(text, relations=[inside, across]))
    assert (line.text, line.relations) == ("ab cd\n", [Relation(Span(0, 2), "r", Span(3, 5))])


def test_the_default_rule_is_better_than_the_first_occurrence_on_every_set(shared_data):
    sets = load(shared_data, "test")
    assert {"phee", "conll04", "crossre", "redocred_sent"} <= set(sets)
    for name, documents in sets.items():
        default, first = (measure(documents, rule) for rule in (DEFAULT_RULE, OCCURRENCE_RULES["first"]))
        assert default.num_right > first.num_right, name
        assert default.on_ambiguous > first.on_ambiguous + 0.05, name
