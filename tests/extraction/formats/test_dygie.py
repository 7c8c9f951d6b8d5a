"""DyGIE: tokens numbered through the document, ends inclusive, events and clusters."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kexue.errors import DataError
from kexue.extraction.document import Argument, Event, Span
from kexue.extraction.formats import dygie
from kexue.extraction.formats.tokens import join_tokens

from .samples import RECORDS, token_lists, token_spans, write_lines

TWO = {
    "doc_key": "X1",
    "sentences": [["Marie", "Curie", "left", "Warsaw", "."], ["She", "studied", "."]],
    "ner": [[[0, 1, "PER"], [3, 3, "LOC"]], [[5, 5, "PER"]]],
    "relations": [[], [[5, 5, 3, 3, "BORN-IN"]]],
    "events": [[[[2, "Movement"], [0, 1, "Agent"]], [[2, 2, "Leave"]]], []],
    "clusters": [[[0, 1], [5, 5]]],
}


def test_relations_may_cross_sentences(tmp_path):
    (document,) = dygie.read(write_lines(tmp_path / "x.json", TWO))
    assert document.text == "Marie Curie left Warsaw . She studied ."
    (relation,) = document.relations
    assert (relation.subject.surface(document.text), relation.object.surface(document.text)) == ("She", "Warsaw")
    assert (relation.subject.label, relation.object.label) == ("PER", "LOC")


def test_a_trigger_is_an_argument_in_both_of_its_forms(tmp_path):
    (document,) = dygie.read(write_lines(tmp_path / "x.json", TWO))
    trigger = Argument("trigger", Span(12, 16))
    assert document.events == [
        Event("Movement", (trigger, Argument("Agent", Span(0, 11, "PER")))),
        Event("Leave", (trigger,)),
    ]


def test_clusters_are_kept_in_characters(tmp_path):
    (document,) = dygie.read(write_lines(tmp_path / "x.json", TWO))
    assert [[document.text[a:b] for a, b in cluster] for cluster in document.meta["clusters"]] == [
        ["Marie Curie", "She"]
    ]


@given(st.data())
def test_entities_read_back_are_the_tokens_named_wherever_sentences_are_cut(tmp_path_factory, data):
    tokens = data.draw(token_lists())
    spans = data.draw(token_spans(len(tokens)))
    cut = data.draw(st.integers(1, len(tokens)))
    sentences = [part for part in (tokens[:cut], tokens[cut:]) if part]
    ner = [[[start, end - 1, label] for start, end, label in spans], []][: len(sentences)]
    record = {"sentences": sentences, "ner": ner}
    (document,) = dygie.read(write_lines(tmp_path_factory.mktemp("x") / "x.json", record))
    assert document.entities == [join_tokens(tokens).span(*span) for span in spans]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sentences": ["a"]}, "a sentence must be a list"),
        ({"sentences": []}, "there are no tokens"),
        ({"ner": [[]]}, "'ner' has 1 lists for 2 sentences"),
        ({"ner": [[[0, 8, "x"]], []]}, "tokens 0 to 9 .* are not a span of 8 tokens"),
        ({"relations": [[[0, 1, "x"]], []]}, "must have 5 parts"),
        ({"events": [[[]], []]}, "must have 3 parts"),
        ({"events": [[[["2", "x"]]], []]}, "must be a whole number"),
        ({"clusters": [[[0]]]}, "must have 2 parts"),
    ],
)
def test_a_wrong_record_is_refused_with_its_line(change, message, tmp_path):
    path = write_lines(tmp_path / "x.json", RECORDS["dygie"], TWO | change)
    with pytest.raises(DataError, match=message) as error:
        list(dygie.read(path))
    assert (error.value.path, error.value.line) == (path, 2)
