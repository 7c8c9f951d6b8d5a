"""SpERT and TablERT: relations by the number of the entity."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kexue.errors import DataError
from kexue.extraction.formats import spert, token_span
from kexue.extraction.formats.tokens import join_tokens

from .samples import BORN, RECORDS, token_lists, token_spans, write_lines

TAGGED = {
    "tokens": RECORDS["spert"]["tokens"],
    "tags": ["B-PER", "L-PER", "O", "U-LOC", "O"],
    "relations": RECORDS["spert"]["relations"],
    "orig_id": 7,
}


def test_tags_and_entities_say_the_same(tmp_path):
    listed, tagged = spert.read(write_lines(tmp_path / "x.json", RECORDS["spert"], TAGGED))
    assert tagged.entities == listed.entities
    assert tagged.relations == listed.relations == [BORN]
    assert tagged.id == "7"


@given(st.data())
def test_relations_join_the_entities_they_number(tmp_path_factory, data):
    tokens = data.draw(token_lists())
    spans = data.draw(token_spans(len(tokens)))
    record = {
        "tokens": tokens,
        "entities": [{"start": start, "end": end, "type": label} for start, end, label in spans],
        "relations": [{"type": "r", "head": len(spans) - 1, "tail": n} for n in range(len(spans))],
    }
    (document,) = spert.read(write_lines(tmp_path_factory.mktemp("x") / "x.json", record))
    entities = [join_tokens(tokens).span(*span) for span in spans]
    assert document.entities == entities
    assert [(r.subject, r.object) for r in document.relations] == [(entities[-1], end) for end in entities]


@pytest.mark.parametrize(("name", "other"), [("train", "train"), ("dev", "valid"), ("test", "test")])
def test_conll04_is_the_same_in_both_of_its_forms(name, other, shared_data):
    tagged = list(spert.read(shared_data / f"conll04/conll04_{name}.json"))
    listed = list(token_span.read(shared_data / f"conll04/unified/{other}.CoNLL04.json"))
    assert [(d.text, set(d.entities), set(d.relations)) for d in tagged] == [
        (d.text, set(d.entities), set(d.relations)) for d in listed
    ]


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (TAGGED | {"tags": ["O"]}, "there are 5 tokens but 1 tags"),
        (TAGGED | {"tags": ["X-PER", "O", "O", "O", "O"]}, "'X-PER' is not a tag"),
        (TAGGED | {"relations": [{"type": "r", "head": 0, "tail": 2}]}, "names entity 2, .* 0 to 1"),
        (TAGGED | {"relations": [{"type": "r", "head": -1, "tail": 0}]}, "names entity -1"),
        (TAGGED | {"relations": [[0, 1]]}, "a relation must be an object"),
        (RECORDS["spert"] | {"entities": [{"start": 0, "end": 9, "type": "x"}]}, "are not a span of 5 tokens"),
        (RECORDS["spert"] | {"entities": [{"start": 0, "end": 1, "typ": "x"}]}, "'type'.*is 'typ' meant"),
    ],
)
def test_a_wrong_record_is_refused_with_its_line(record, message, tmp_path):
    path = write_lines(tmp_path / "x.json", RECORDS["spert"], record)
    with pytest.raises(DataError, match=message) as error:
        list(spert.read(path))
    assert (error.value.path, error.value.line) == (path, 2)
