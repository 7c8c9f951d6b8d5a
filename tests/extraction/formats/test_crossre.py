"""CrossRE: ends inclusive, notes kept."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kexue.errors import DataError
from kexue.extraction.formats import crossre
from kexue.extraction.formats.tokens import join_tokens

from .samples import BORN, RECORDS, token_lists, token_spans, write_lines


@given(st.data())
def test_inclusive_ends_are_read_as_the_tokens_named(tmp_path_factory, data):
    tokens = data.draw(token_lists())
    spans = data.draw(token_spans(len(tokens)))
    record = {"doc_key": "k", "sentence": tokens, "ner": [[start, end - 1, label] for start, end, label in spans]}
    (document,) = crossre.read(write_lines(tmp_path_factory.mktemp("x") / "x.json", record | {"relations": []}))
    assert document.entities == [join_tokens(tokens).span(*span) for span in spans]
    assert document.id == "k"


def test_explanation_and_flags_are_kept_where_set(tmp_path):
    rows = [[0, 1, 3, 3, "born in", "", False, False], [0, 1, 3, 3, "left", "why", True, False]]
    (document,) = crossre.read(write_lines(tmp_path / "x.json", RECORDS["crossre"] | {"relations": rows}))
    assert document.relations[0] == BORN
    assert document.meta == {"relation_notes": [[1, "why", True, False]]}


def test_the_domains_have_their_published_counts(shared_data):
    totals = {
        split: [document for path in shared_data.glob(f"crossre/*-{split}.json") for document in crossre.read(path)]
        for split in ("train", "dev", "test")
    }
    assert {split: len(documents) for split, documents in totals.items()} == {
        "train": 668,
        "dev": 2151,
        "test": 2446,
    }
    documents = [document for part in totals.values() for document in part]
    counted = [len(d.relations) + d.meta.get("duplicate_relations", 0) for d in documents]
    assert sum(counted) == 19761
    assert not any(document.unaligned for document in documents)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sentence": "a b"}, "'sentence' of the record must be a list"),
        ({"ner": [[0, 5, "x"]]}, "tokens 0 to 6 .* are not a span of 5 tokens"),
        ({"ner": [[3, 1, "x"]]}, "are not a span"),
        ({"ner": [["0", 1, "x"]]}, "must be a whole number"),
        ({"relations": [[0, 1, 3, 3]]}, "must have 5 parts"),
        ({"relations": ["x"]}, "must be a list"),
    ],
)
def test_a_wrong_record_is_refused_with_its_line(change, message, tmp_path):
    path = write_lines(tmp_path / "x.json", RECORDS["crossre"], RECORDS["crossre"] | change)
    with pytest.raises(DataError, match=message) as error:
        list(crossre.read(path))
    assert (error.value.path, error.value.line) == (path, 2)
