"""How far a model looks is what its training data showed it, with a margin, and travels with the model."""

from __future__ import annotations

import pytest

from kexue.extraction.decoding import Bounds
from kexue.extraction.document import Document, Relation, Span
from kexue.extraction.inference import find_candidates
from kexue.extraction.links import Links
from kexue.extraction.reach import LEAST, Reach
from kexue.extraction.sentences import sentence_numbers
from tests.extraction.tiny import tiny_checkpoint

ALL = Bounds(spans=100_000, relations=1_000_000)
FAR = Links(spans=[(0, 3, 3), (1, 10, 29)], triples=[(0, 10, 29, 90, 95), (0, 60, 60, 3, 3)])


def test_twice_the_widest_span_and_the_farthest_relation_are_within_reach():
    assert Reach.of([Links(), FAR]) == Reach(span_width=40, link_distance=160)


def test_short_spans_leave_some_room():
    assert Reach.of([Links(spans=[(0, 3, 3)], triples=[(0, 3, 3, 3, 3)])]) == Reach(
        span_width=LEAST, link_distance=LEAST
    )


def test_a_model_without_training_data_looks_anywhere():
    assert Reach() == Reach(span_width=None, link_distance=None)


def related(text: str, subject: str, object_: str) -> Document:
    """A document with one relation between two words."""
    ends = [Span(text.index(word), text.index(word) + len(word)) for word in (subject, object_)]
    return Document(text, relations=[Relation(ends[0], "causes", ends[1])])


WITHIN, ACROSS = (
    related("Drug causes rash. Nothing.", "Drug", "rash"),
    related("Drug was given. Then rash followed.", "Drug", "rash"),
)


def test_a_model_looks_across_as_many_ends_of_sentences_as_its_relations_cross():
    assert Reach.of([], [WITHIN] * 3).sentence_distance == 0
    assert Reach.of([], [WITHIN, WITHIN, ACROSS]).sentence_distance == 1
    assert Reach.of([], [Document("No relation. None.")]).sentence_distance is None


def test_a_few_strays_do_not_widen_the_reach():
    assert Reach.of([], [WITHIN] * 998 + [ACROSS] * 2).sentence_distance == 0
    assert Reach.of([], [WITHIN] * 997 + [ACROSS] * 3).sentence_distance == 1


def test_triples_across_more_ends_of_sentences_are_no_candidates():
    text = "Marie was born in Warsaw. Pierre was born in Paris. Irène was born in Paris."
    checkpoint = tiny_checkpoint()

    def found(distance: int | None) -> tuple[int, int]:
        """How many triples there are, and the most ends of sentences that one of them crosses."""
        checkpoint.model.config.sentence_distance = distance
        (item,) = find_candidates(checkpoint.model, checkpoint.text_tokenizer, [text], floor=-3.0, bounds=ALL)
        places = [item.tokens.starts[start] for start in item.candidates.spans[:, 1].tolist()]
        numbers = sentence_numbers(text, places)
        crossed = [abs(numbers[subject] - numbers[object_]) for subject, _, object_ in item.candidates.triples.tolist()]
        assert len(item.candidates.triple_scores) == len(crossed)
        return len(crossed), max(crossed)

    (anywhere, two), (neighbours, one), (alone, none) = (found(distance) for distance in (None, 1, 0))
    assert anywhere > neighbours > alone > 0
    assert (two, one, none) == (2, 1, 0)


def test_as_many_sentences_are_read_together_as_usual_and_as_relations_join():
    three = related("Drug causes rash. Nothing. More.", "Drug", "rash")
    assert Reach.of([], [WITHIN] * 2 + [three]).sentences == 2
    assert Reach.of([], [three] * 2 + [WITHIN]).sentences == 3
    assert Reach.of([], [related("Drug causes rash.", "Drug", "rash")] * 3 + [ACROSS]).sentences == 2
    assert Reach.of([], [Document("No relation. None.")]).sentences is None


def test_a_model_of_sentences_finds_in_a_text_of_many_what_it_finds_in_each():
    parts = ["Marie was born in Warsaw.", "Pierre was born in Paris.", "Irène was born in Paris and died in Paris."]
    checkpoint = tiny_checkpoint()
    checkpoint.model.config.sentence_distance, checkpoint.model.config.sentences = 0, 1

    def found(texts: list[str]) -> dict[tuple[object, ...], float]:
        """Triples by their surfaces and the number of their sentence, and the weakest of their scores."""
        triples = {}
        items = find_candidates(checkpoint.model, checkpoint.text_tokenizer, texts, floor=-3.0, bounds=ALL)
        for item in sorted(items, key=lambda item: item.index):
            text, spans = texts[item.index], item.candidates.spans.tolist()
            places = [(item.tokens.starts[start], item.tokens.ends[end], label) for label, start, end in spans]
            for (subject, name, object_), scores in zip(
                item.candidates.triples.tolist(), item.candidates.triple_scores, strict=True
            ):
                ends = [(text[place[0] : place[1]], place[2]) for place in (places[subject], places[object_])]
                number = item.index + sentence_numbers(text, [places[subject][0]])[0]
                triples[number, *ends, name, places[subject][0] - places[object_][0]] = float(scores.min())
        return triples

    apart, together = found(parts), found([" ".join(parts)])
    assert len(apart) > 5
    assert together.keys() == apart.keys()
    assert together == pytest.approx(apart, abs=1e-4)
