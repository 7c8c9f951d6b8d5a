import json

import pytest

from kexue.extraction.document import Document, Relation, Span, Unaligned
from kexue.extraction.metrics import evaluate
from kexue.extraction.metrics.patterns import gold_triples, overlap_patterns, triple_count

CASES = {
    "one triple": ([("p", "a", "b")], ("Normal",)),
    "two apart": ([("p", "a", "b"), ("q", "c", "d")], ("Normal",)),
    "two with one subject": ([("p", "a", "b"), ("q", "a", "c")], ("SEO",)),
    "a chain": ([("p", "a", "b"), ("q", "b", "c")], ("SEO",)),
    "one pair twice": ([("p", "a", "b"), ("q", "a", "b")], ("EPO",)),
    "a pair and its reverse": ([("p", "a", "b"), ("q", "b", "a")], ("SEO",)),
    "one pair twice and a third": ([("p", "a", "b"), ("q", "a", "b"), ("p", "a", "c")], ("SEO", "EPO")),
    "one end inside the other": ([("p", "a b", "b")], ("Normal", "SOO")),
    "an entity with itself": ([("p", "a", "a")], ("SEO", "SOO")),
    "no triple": ([], ("no triple",)),
}


@pytest.mark.parametrize("case", CASES)
def test_the_patterns_of(case):
    triples, patterns = CASES[case]
    assert overlap_patterns(set(triples)) == patterns


def test_a_triple_listed_twice_makes_an_entity_pair_overlap_only_where_duplicates_count():
    assert overlap_patterns({("p", "a", "b")}) == ("Normal",)
    assert overlap_patterns({("p", "a", "b")}, num_duplicates=1) == ("EPO",)


def test_the_classes_by_number_of_triples_end_at_five_or_more():
    assert [triple_count(number) for number in (0, 1, 4, 5, 99)] == ["0", "1", "4", "5+", "5+"]


def test_unplaced_gold_takes_part_in_the_patterns():
    relation = Relation(Span(0, 1), "p", Span(2, 3))
    lost = Unaligned("relation", "q", ("a", "missing"), "not in the text")
    document = Document("a b", relations=[relation], unaligned=[lost])
    assert overlap_patterns(gold_triples(document)) == ("SEO",)


def read_triples(path, duplicates):
    """Documents from a file of triple lists; each entity is put at its first occurrence."""
    documents = []
    for record in json.loads(path.read_text(encoding="utf-8")):
        text, triples = record["text"], [tuple(triple) for triple in record["triple_list"]]
        unique = list(dict.fromkeys(triples))
        relations = [Relation(place(text, s), p, place(text, o)) for s, p, o in unique]
        meta = {"duplicate_relations": duplicates(triples)}
        documents.append(Document(text, relations=relations, meta=meta))
    return documents


def place(text, surface):
    return Span(text.index(surface), text.index(surface) + len(surface))


def as_number(triples):
    return len(triples) - len(set(triples))


def as_list(triples):
    return [list(triple) for position, triple in enumerate(triples) if triple in triples[:position]]


@pytest.mark.parametrize("duplicates", [as_number, as_list])
def test_the_published_counts_of_webnlg_star_are_reproduced(shared_data, duplicates):
    gold = read_triples(shared_data / "webnlg_star" / "test_triples.json", duplicates)
    found = evaluate(gold, gold, bootstrap_samples=0).breakdown
    as_casrel = {name: subset.num_documents for name, subset in found.by_casrel_pattern.items()}
    unique = {name: subset.num_documents for name, subset in found.by_pattern.items()}
    assert len(gold) == 703
    assert as_casrel == {"Normal": 246, "SEO": 457, "EPO": 26, "SOO": 84, "no triple": 0}
    assert unique == {"Normal": 246, "SEO": 457, "EPO": 18, "SOO": 84, "no triple": 0}


def test_the_patterns_of_webnlg_are_those_measured_on_its_file(shared_data):
    gold = read_triples(shared_data / "webnlg" / "test_triples.json", as_number)
    found = evaluate(gold, gold, bootstrap_samples=0).breakdown.by_pattern
    shares = {name: round(100 * found[name].num_documents / len(gold), 1) for name in ("Normal", "SEO", "EPO")}
    assert shares == {"Normal": 36.1, "SEO": 63.7, "EPO": 0.9}


def test_a_document_counts_in_each_of_its_classes_with_all_of_its_relations():
    a, b, c = Span(0, 1), Span(2, 3), Span(4, 5)
    gold = Document("a b c", relations=[Relation(a, "p", b), Relation(a, "q", b), Relation(a, "p", c)])
    predicted = Document("a b c", relations=[Relation(a, "p", b), Relation(b, "p", c)])
    found = evaluate([gold], [predicted], bootstrap_samples=0).breakdown.by_pattern
    for name in ("SEO", "EPO"):
        counts = found[name].counts
        assert (counts.correct, counts.predicted, counts.gold) == (1, 2, 3)
    assert found["Normal"].num_documents == found["Normal"].counts.gold == 0
