"""The counts of CasRel, TPLinker and PRGC on cases in which they differ."""

from kexue.extraction.document import Document, Relation, Span, Unaligned
from kexue.extraction.metrics import evaluate

TEXT = "New York City , in New Jersey , no , in New York State"


def relation(subject, object, predicate="in"):
    return Relation(Span(*subject), predicate, Span(*object))


def counts(gold, predicted, **fields):
    found = evaluate(
        [Document(TEXT, relations=gold, **fields)], [Document(TEXT, relations=predicted)], bootstrap_samples=0
    ).as_peers_count
    return {name: (each.correct, each.predicted, each.gold) for name, each in found.items()}


CITY, JERSEY, STATE = (0, 13), (19, 29), (40, 54)


def test_only_what_stands_before_the_first_space_counts_in_the_partial_modes():
    found = counts([relation(CITY, JERSEY)], [relation((0, 8), STATE)])
    assert found["casrel_partial"] == found["tplinker_only_head_text"] == (1, 1, 1)
    for name in ("casrel_exact", "tplinker_whole_text", "tplinker_whole_span", "prgc"):
        assert found[name] == (0, 1, 1)


def test_triples_that_share_their_first_words_are_one_triple_in_the_partial_modes():
    found = counts([relation(CITY, JERSEY), relation(CITY, STATE)], [])
    assert found["casrel_partial"] == found["tplinker_only_head_text"] == (0, 0, 1)
    assert found["casrel_exact"] == (0, 0, 2)


def test_the_first_place_alone_counts_in_the_mode_by_head_index():
    found = counts([relation(CITY, JERSEY)], [relation((0, 8), (19, 22))])
    assert found["tplinker_only_head_index"] == (1, 1, 1)
    assert found["tplinker_whole_span"] == (0, 1, 1)


def test_another_occurrence_is_right_by_text_and_wrong_by_place():
    found = counts([relation((0, 3), CITY)], [relation((19, 22), CITY)])
    assert found["tplinker_whole_text"] == found["casrel_exact"] == found["prgc"] == (1, 1, 1)
    assert found["tplinker_only_head_index"] == found["tplinker_whole_span"] == (0, 1, 1)


def test_casrel_keeps_unplaced_gold_and_the_others_forget_it():
    lost = Unaligned("relation", "in", ("Brooklyn", "New York City"), "not in the text")
    found = counts([relation(CITY, JERSEY)], [relation(CITY, JERSEY)], unaligned=[lost])
    for name, each in found.items():
        assert each == ((1, 1, 2) if name.startswith("casrel") else (1, 1, 1))


def test_spaces_do_not_matter_to_prgc():
    text = "New  York in New York"
    gold = Document(text, relations=[relation((0, 9), (0, 3))])
    predicted = Document(text, relations=[relation((13, 21), (0, 3))])
    found = evaluate([gold], [predicted], bootstrap_samples=0).as_peers_count
    assert found["prgc"].correct == 1
    assert found["casrel_exact"].correct == 0
