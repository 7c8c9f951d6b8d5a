import pytest

from kexue.extraction.document import Argument, Document, Event, Relation, Span, Unaligned
from kexue.extraction.metrics import evaluate
from kexue.extraction.metrics.matching import (
    RELATION_MATCHINGS,
    entity_keys,
    first_word,
    last_word,
    relation_keys,
)

TEXT = "New York is in the United States, says the New York Times of New York."


def span(surface, label="", nth=0):
    start = -1
    for _ in range(nth + 1):
        start = TEXT.index(surface, start + 1)
    return Span(start, start + len(surface), label)


def document(*relations, **fields):
    return Document(TEXT, relations=list(relations), **fields)


GOLD = Relation(span("New York", "city"), "in", span("United States", "country"))

SAME_UNDER = {
    "the same": (GOLD, {"strict", "boundaries", "string", "last_word", "first_word"}),
    "another type of the subject": (
        Relation(span("New York", "state"), "in", GOLD.object),
        {"boundaries", "string", "last_word", "first_word"},
    ),
    "another type of the object": (
        Relation(GOLD.subject, "in", span("United States", "state")),
        {"boundaries", "string", "last_word", "first_word"},
    ),
    "another occurrence": (
        Relation(span("New York", "city", nth=2), "in", GOLD.object),
        {"string", "last_word", "first_word"},
    ),
    "only the last words": (Relation(span("York"), "in", span("States")), {"last_word"}),
    "only the first words": (Relation(span("New"), "in", span("United")), {"first_word"}),
    "more words behind": (Relation(span("New York is"), "in", span("United States, says")), {"first_word"}),
    "more words in front": (Relation(GOLD.subject, "in", span("the United States")), {"last_word"}),
    "another predicate": (Relation(GOLD.subject, "of", GOLD.object), set()),
    "the ends swapped": (Relation(GOLD.object, "in", GOLD.subject), set()),
}


@pytest.mark.parametrize("difference", SAME_UNDER)
def test_each_matching_forgives_exactly_its_own_differences(difference):
    predicted, same_under = SAME_UNDER[difference]
    matchings = evaluate([document(GOLD)], [document(predicted)], bootstrap_samples=0).relations.matchings
    assert {name for name, score in matchings.items() if score.counts.correct} == same_under
    assert all(score.counts.predicted == score.counts.gold == 1 for score in matchings.values())


def test_the_matchings_stand_in_order_from_strict_on():
    assert list(RELATION_MATCHINGS) == ["strict", "boundaries", "string", "last_word", "first_word"]


@pytest.mark.parametrize("name", RELATION_MATCHINGS)
def test_a_relation_given_twice_counts_once(name):
    assert len(relation_keys(document(GOLD, GOLD), RELATION_MATCHINGS[name])) == 1


def test_chinese_text_is_one_word():
    assert first_word("亨利·内斯特莱") == last_word("亨利·内斯特莱") == "亨利·内斯特莱"
    assert (first_word("New York"), last_word("New York")) == ("New", "York")
    assert first_word(" ") == last_word(" ") == " "


def test_gold_that_could_not_be_placed_stays_in_every_gold_count():
    lost = Unaligned("relation", "in", ("Brooklyn", "United States"), "not in the text")
    matchings = evaluate(
        [document(GOLD, unaligned=[lost, lost])], [document(GOLD)], bootstrap_samples=0
    ).relations.matchings
    for score in matchings.values():
        assert (score.counts.correct, score.counts.predicted, score.counts.gold) == (1, 1, 2)


def test_unplaced_gold_is_found_by_its_strings_and_never_by_its_place():
    lost = Unaligned("relation", "in", ("New York", "United States"), "which occurrence?")
    matchings = evaluate([document(unaligned=[lost])], [document(GOLD)], bootstrap_samples=0).relations.matchings
    correct = {name: score.counts.correct for name, score in matchings.items()}
    assert correct == {"strict": 0, "boundaries": 0, "string": 1, "last_word": 1, "first_word": 1}


def test_strings_without_a_place_on_both_sides_match_as_strings_only():
    lost = Unaligned("relation", "in", ("Brooklyn", "New York"), "not in the text")
    matchings = evaluate(
        [document(unaligned=[lost])], [document(unaligned=[lost])], bootstrap_samples=0
    ).relations.matchings
    assert matchings["string"].counts.f1 == 1
    assert matchings["strict"].counts.correct == 0
    assert matchings["strict"].counts.predicted == 1


def test_a_discontinuous_span_is_not_the_continuous_one_with_the_same_ends():
    whole = Span(0, 27, "city")
    broken = Span(0, 27, "city", fragments=((0, 3), (19, 27)))
    scores = evaluate(
        [Document(TEXT, entities=[whole])], [Document(TEXT, entities=[broken])], bootstrap_samples=0
    ).entities.matchings
    assert {name: score.counts.correct for name, score in scores.items()} == {
        "strict": 0,
        "boundaries": 0,
        "string": 0,
    }


def test_entities_are_compared_by_label_and_place_by_place_and_by_label_and_string():
    gold = [span("New York", "city"), span("New York Times", "paper")]
    found = [span("New York", "state"), span("New York Times", "paper"), span("New York", "city", nth=2)]
    matchings = evaluate(
        [Document(TEXT, entities=gold)], [Document(TEXT, entities=found)], bootstrap_samples=0
    ).entities.matchings
    assert {name: score.counts.correct for name, score in matchings.items()} == {
        "strict": 1,
        "boundaries": 2,
        "string": 2,
    }


def test_where_no_entities_are_listed_the_ends_of_relations_are_the_entities():
    ends = [GOLD.subject, GOLD.object]
    matching = RELATION_MATCHINGS["boundaries"]
    assert entity_keys(document(GOLD), matching) == entity_keys(Document(TEXT, entities=ends), matching)
    listed = document(GOLD, entities=[GOLD.subject])
    assert entity_keys(listed, matching) == entity_keys(Document(TEXT, entities=ends[:1]), matching)


def test_an_event_is_right_only_as_a_whole_and_its_arguments_one_by_one():
    agent, place = Argument("agent", span("New York Times")), Argument("place", span("New York"))
    gold = Document(TEXT, events=[Event("say", (agent, place))])
    found = Document(TEXT, events=[Event("say", (agent,))])
    evaluation = evaluate([gold, gold], [found, gold], bootstrap_samples=0)
    assert evaluation.events is not None
    counts = {name: score.counts for name, score in evaluation.events.matchings.items()}
    assert (counts["event"].correct, counts["event"].predicted, counts["event"].gold) == (1, 2, 2)
    assert (counts["argument"].correct, counts["argument"].predicted, counts["argument"].gold) == (3, 3, 4)


def test_the_order_of_an_events_arguments_does_not_matter_and_its_roles_do():
    one, other = span("New York Times"), span("New York")
    gold = Document(TEXT, events=[Event("say", (Argument("agent", one), Argument("place", other)))])
    turned = Document(TEXT, events=[Event("say", (Argument("place", other), Argument("agent", one)))])
    swapped = Document(TEXT, events=[Event("say", (Argument("agent", other), Argument("place", one)))])
    evaluation = evaluate([gold, gold], [turned, swapped], bootstrap_samples=0)
    assert evaluation.events is not None
    assert evaluation.events.matchings["event"].counts.correct == 1


def test_an_event_that_could_not_be_placed_is_missed_with_all_of_its_arguments():
    lost = Unaligned("event", "say", ("Nobody", "Nowhere"), "not in the text")
    evaluation = evaluate([Document(TEXT, unaligned=[lost])], [Document(TEXT)], bootstrap_samples=0)
    assert evaluation.events is not None
    assert {name: score.counts.gold for name, score in evaluation.events.matchings.items()} == {
        "event": 1,
        "argument": 2,
        "characters": 2,
    }
