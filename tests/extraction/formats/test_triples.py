"""Triple lists of CasRel, PRGC and TPLinker."""

from __future__ import annotations

import pytest
from hypothesis import given

from kexue.errors import DataError
from kexue.extraction.document import Span, Unaligned
from kexue.extraction.formats import triples
from kexue.extraction.formats.source import Sample

from .samples import RECORDS, TEXT, documents, write_lines

NAMED = {"subject": "Marie Curie", "predicate": "born in", "object": "Warsaw"}


@given(documents())
def test_every_triple_of_any_text_comes_back_with_the_same_strings(tmp_path_factory, document):
    text = document.text
    stated = {(r.subject.surface(text), r.predicate, r.object.surface(text)) for r in document.relations}
    stated = {triple for triple in stated if triple[0].strip() and triple[2].strip()}
    record = {"text": text, "triple_list": sorted(stated)}
    (read,) = triples.read(write_lines(tmp_path_factory.mktemp("x") / "x.json", record))
    assert {(r.subject.surface(text), r.predicate, r.object.surface(text)) for r in read.relations} == stated
    assert read.unaligned == []


def test_spans_of_tplinker_are_taken_over_the_occurrence_rule(tmp_path):
    text = "Warsaw . " + TEXT
    fact = NAMED | {"subj_char_span": [9, 20], "obj_char_span": [0, 6]}
    things = [{"text": "Warsaw", "type": "LOC", "char_span": [0, 6]}, {"text": "Marie Curie", "type": "PER"}]
    record = {"id": 5, "text": text, "relation_list": [fact], "entity_list": things}
    (document,) = triples.read(write_lines(tmp_path / "x.json", record))
    assert document.entities == [Span(0, 6, "LOC"), Span(9, 20, "PER")]
    assert [(r.subject, r.object) for r in document.relations] == [(Span(9, 20, "PER"), Span(0, 6, "LOC"))]


def test_an_entity_given_as_a_string_stands_for_all_its_occurrences(tmp_path):
    things = [{"text": "a", "type": "T"}, {"text": "z", "type": "T"}]
    record = {"text": "a b a ab", "relation_list": [], "entity_list": things}
    (document,) = triples.read(write_lines(tmp_path / "x.json", record))
    assert document.entities == [Span(0, 1, "T"), Span(4, 5, "T")]
    assert document.unaligned == [Unaligned("entity", "T", ("z",), "'z' is not in the text")]


def test_duplicated_gold_is_counted_and_kept_once(tmp_path):
    record = RECORDS["triples"] | {"triple_list": RECORDS["triples"]["triple_list"] * 2, "mentions": ["Warsaw"]}
    (document,) = triples.read(write_lines(tmp_path / "x.json", record))
    assert len(document.relations) == 1
    assert document.meta == {"mentions": ["Warsaw"], "duplicate_relations": 1}


@pytest.mark.parametrize(
    ("file", "num_documents", "num_triples", "num_duplicates", "num_unaligned"),
    [
        ("webnlg/test_triples.json", 703, 1607, 0, 0),
        ("webnlg/val_triples.json", 500, 1224, 1, 0),
        ("webnlg_star/test_triples.json", 703, 1591, 10, 0),  # in 9 sentences
        ("webnlg_star/train_triples.json", 5019, 11776, 89, 0),
        ("cnshipnet/train.json", 553, 3219, 0, 4),
        ("cnshipnet/dev.json", 111, 570, 0, 0),
        ("cnshipnet/test.json", 74, 420, 0, 0),
        ("finre/joint_valid.jsonl", 677, 1105, 0, 0),
    ],
)
def test_no_published_triple_is_lost(file, num_documents, num_triples, num_duplicates, num_unaligned, shared_data):
    read = list(triples.read(shared_data / file))
    duplicates = sum(document.meta.get("duplicate_relations", 0) for document in read)
    unaligned = sum(len(document.unaligned) for document in read)
    assert len(read) == num_documents
    assert sum(len(document.relations) for document in read) + duplicates + unaligned == num_triples
    assert unaligned == num_unaligned
    assert duplicates == num_duplicates


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"text": "a"}, "lacks 'triple_list' and 'relation_list'"),
        ({"text": 1, "triple_list": []}, "'text' of the record must be a string"),
        ({"text": "a", "triple_list": [["a", "r"]]}, "must have 3 parts"),
        ({"text": "a", "triple_list": [["a", "r", 1]]}, "must be a string, got 1"),
        ({"text": "a", "triple_list": "x"}, "must be a list"),
        ({"text": "a", "relation_list": [{"subject": "a", "object": "a"}]}, "lacks 'predicate'"),
        (
            {
                "text": TEXT,
                "relation_list": [NAMED | {"subj_char_span": [1, 12], "obj_char_span": [17, 23]}],
            },
            "'subj_char_span' says .* are 'Marie Curie', but they are 'arie Curie '",
        ),
        (
            {"text": TEXT, "relation_list": [], "entity_list": [{"text": "x", "char_span": [90, 91]}]},
            "'char_span' says characters 90 to 91",
        ),
    ],
)
def test_a_wrong_record_is_refused_with_its_line(record, message, tmp_path):
    path = write_lines(tmp_path / "x.json", RECORDS["triples"], record)
    with pytest.raises(DataError, match=message) as error:
        list(triples.read(path))
    assert (error.value.path, error.value.line) == (path, 2)


@pytest.mark.parametrize("key", ["triple_list", "relation_list"])
def test_both_forms_are_detected(key, tmp_path):
    assert triples.detect(Sample(tmp_path, "", {"text": "", key: []}))
