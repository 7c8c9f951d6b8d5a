"""Tokens with spans: offsets come from the join and show the tokens again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kexue.errors import DataError
from kexue.extraction.formats import char_span, token_span
from kexue.extraction.formats.tokens import find_tokens, join_tokens

from .samples import RECORDS, TEXT, token_lists, token_spans, write_lines


@given(token_lists())
def test_every_token_stands_at_its_offsets_and_only_spaces_between(tokens):
    joined = join_tokens(tokens)
    assert [joined.text[start:end] for start, end in joined.offsets] == tokens
    assert joined.text.replace(" ", "") == "".join(tokens).replace(" ", "")
    assert find_tokens(joined.text, tokens) is not None


@pytest.mark.parametrize(
    ("tokens", "text"),
    [
        (["Paris", ",", "France"], "Paris , France"),
        (["鲁迅", "生于", "绍兴", "。"], "鲁迅生于绍兴。"),
        (["据", "NASA", "Langley", "报道"], "据 NASA Langley 报道"),
        (["2", "0", "1", "3", "年"], "2013年"),
        (["서울", "에서"], "서울 에서"),
    ],
)
def test_spaces_are_written_where_the_script_writes_them(tokens, text):
    assert join_tokens(tokens).text == text


@given(st.data())
def test_spans_read_back_are_the_tokens_named(tmp_path_factory, data):
    tokens = data.draw(token_lists())
    spans = data.draw(token_spans(len(tokens)))
    relations = [[*a[:2], *b[:2], "r"] for a in spans for b in spans]
    path = write_lines(
        tmp_path_factory.mktemp("x") / "x.json",
        {"tokens": tokens, "entities": spans, "relations": relations, "id": 3, "source": "s"},
    )
    (document,) = token_span.read(path)
    assert (document.id, document.meta) == ("3", {"source": "s"})
    joined = join_tokens(tokens)
    assert document.entities == [joined.span(*span) for span in spans]
    for span, (start, end, label) in zip(document.entities, spans, strict=True):
        assert span.label == label
        assert document.text[span.start : span.end].replace(" ", "") == "".join(tokens[start:end])
    ends = [(relation.subject, relation.object) for relation in document.relations]
    assert ends == [(a, b) for a in document.entities for b in document.entities]


def test_a_fact_stated_twice_is_kept_once_and_counted(tmp_path):
    relations = RECORDS["token_span"]["relations"] * 3
    path = write_lines(tmp_path / "x.json", RECORDS["token_span"] | {"relations": relations})
    (document,) = token_span.read(path)
    assert len(document.relations) == 1
    assert document.meta == {"duplicate_relations": 2}


def test_conll04_has_its_published_counts(shared_data):
    counts = {"train": (922, 3377, 1283), "valid": (231, 893, 343), "test": (288, 1079, 422)}
    for split, expected in counts.items():
        documents = list(token_span.read(shared_data / f"conll04/unified/{split}.CoNLL04.json"))
        found = (
            len(documents),
            sum(len(document.entities) for document in documents),
            sum(len(document.relations) for document in documents),
        )
        assert found == expected
        assert all(end.label for d in documents for r in d.relations for end in (r.subject, r.object))


def test_redocred_sentences_show_their_own_triples(shared_data):
    documents = list(char_span.read(shared_data / "redocred_sent/dev.jsonl"))
    assert len(documents) == 540
    assert sum(len(document.relations) for document in documents) == 1335


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tokens": "a b"}, "'tokens' of the record must be a list, got \"a b\""),
        ({"tokens": ["a", 1]}, "each of 'tokens' must be a string, got 1"),
        ({"tokens": ["a", ""]}, "token 1 is empty"),
        ({"tokens": []}, "there are no tokens"),
        ({"entities": [[0, 6, "x"]]}, "tokens 0 to 6 .* are not a span of 5 tokens"),
        ({"entities": [[-1, 1, "x"]]}, "are not a span"),
        ({"entities": [[2, 2, "x"]]}, "are not a span"),
        ({"entities": [[0, 1]]}, r"an entity \[start, end, type\] must have 3 parts"),
        ({"entities": [[0, True, "x"]]}, "must be a whole number, got true"),
        ({"relations": [[0, 1, 2, 3]]}, "must have 5 parts"),
        ({"relations": [[0, 1, 3, 9, "x"]]}, "tokens 3 to 9"),
        ({"relations": [{"head": 0}]}, "must be a list"),
    ],
)
def test_a_wrong_record_is_refused_with_its_line(change, message, tmp_path):
    path = write_lines(tmp_path / "x.json", RECORDS["token_span"], RECORDS["token_span"] | change)
    with pytest.raises(DataError, match=message) as error:
        list(token_span.read(path))
    assert (error.value.path, error.value.line) == (path, 2)


def test_a_misspelt_key_is_pointed_out(tmp_path):
    path = write_lines(tmp_path / "x.json", {"tokens": ["a"], "entites": []})
    with pytest.raises(DataError, match=r"lacks 'entities'; .*is 'entites' meant to be it"):
        list(token_span.read(path))


def test_characters_outside_the_text_are_refused(tmp_path):
    path = write_lines(tmp_path / "x.json", RECORDS["char_span"] | {"spans": [[0, 1, "r", 2, len(TEXT) + 1]]})
    with pytest.raises(DataError, match=f"characters 2 to 26 .* are not a span of a text of {len(TEXT)}"):
        list(char_span.read(path))
