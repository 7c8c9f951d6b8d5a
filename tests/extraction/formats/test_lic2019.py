"""LIC2019, DuIE 2.0, CMeIE: typed strings, complex objects."""

from __future__ import annotations

import json

import pytest

from kexue.errors import DataError
from kexue.extraction.document import Span
from kexue.extraction.formats import lic2019

from .samples import RECORDS, write_lines

FACT = {"subject": "王宁", "subject_type": "娱乐人物", "predicate": "饰演"}
COMPLEX = {
    "text": "王宁演过《绝代双骄》里的邀月",
    "spo_list": [
        FACT
        | {
            "object": {"@value": "邀月", "inWork": "绝代双骄", "period": ""},
            "object_type": {"@value": "人物", "inWork": "影视作品", "period": "Text"},
        }
    ],
}


def test_each_slot_of_an_object_becomes_a_relation_of_its_own(tmp_path):
    (document,) = lic2019.read(write_lines(tmp_path / "x.json", COMPLEX))
    assert [(r.predicate, r.object) for r in document.relations] == [
        ("饰演", Span(12, 14, "人物")),
        ("饰演_inWork", Span(5, 9, "影视作品")),
    ]
    assert document.entities == [Span(0, 2, "娱乐人物"), Span(12, 14, "人物"), Span(5, 9, "影视作品")]


def test_the_older_form_with_strings_and_cmeie_without_a_type_are_read_alike(tmp_path):
    plain = FACT | {"object": "邀月", "object_type": "人物"}
    medical = FACT | {"Combined": False, "object": {"@value": "邀月"}, "object_type": {"@value": "人物"}}
    untyped = {key: plain[key] for key in ("subject", "predicate", "object")}
    records = [{"text": COMPLEX["text"], "spo_list": [fact], "postag": []} for fact in (plain, medical, untyped)]
    first, second, third = lic2019.read(write_lines(tmp_path / "x.json", *records))
    assert first == second
    assert first.relations[0].object == Span(12, 14, "人物")
    assert third.relations[0].object == Span(12, 14)
    assert third.entities == []


def test_a_string_that_is_not_in_the_text_stays_in_the_gold(tmp_path):
    fact = FACT | {"object": "花无缺", "object_type": "人物"}
    (document,) = lic2019.read(write_lines(tmp_path / "x.json", COMPLEX | {"spo_list": [fact, fact]}))
    (item,) = document.unaligned
    assert (item.kind, item.label, item.strings) == ("relation", "饰演", ("王宁", "花无缺"))
    assert item.reason == "the object '花无缺' is not in the text"
    assert document.relations == []
    assert document.meta == {"duplicate_relations": 1}


@pytest.mark.parametrize(
    ("name", "num_documents", "num_facts"),
    [("duie1_train_2000", 2000, 4299), ("duie2_dev_2000", 2000, 3656), ("duie2_train_5000", 5000, 8945)],
)
def test_no_fact_of_duie_is_lost(name, num_documents, num_facts, shared_data):
    path = shared_data / f"duie_subset/{name}.json"
    if not path.exists():
        pytest.skip(f"{name} is not beside this checkout")
    documents = list(lic2019.read(path))
    assert len(documents) == num_documents
    main = slots = 0
    for line in path.read_text(encoding="utf-8").splitlines():
        for fact in json.loads(line)["spo_list"]:
            main += 1
            if isinstance(fact["object"], dict):
                slots += sum(bool(value) for key, value in fact["object"].items() if key != "@value")
    kept = sum(len(d.relations) + len(d.unaligned) + d.meta.get("duplicate_relations", 0) for d in documents)
    assert (main, kept) == (num_facts, num_facts + slots)
    assert sum(len(d.unaligned) for d in documents) == 0
    for document in documents:
        assert {end for r in document.relations for end in (r.subject, r.object)} == set(document.entities)


@pytest.mark.parametrize(
    ("fact", "message"),
    [
        ({"predicate": "p", "object": "a"}, "a fact lacks 'subject'"),
        ({"subjet": "王", "predicate": "p", "object": "a"}, "lacks 'subject'.*is 'subjet' meant"),
        (FACT, "'object' of a fact .* must be an object, got null"),
        (FACT | {"object": {"value": "a"}}, "'object' lacks '@value'"),
        (FACT | {"object": {"@value": 1}}, "must be a string, got 1"),
        (FACT | {"object": "a", "subject_type": 3}, "'subject_type' of a fact must be a string"),
        ("x", "an item of 'spo_list' must be an object"),
    ],
)
def test_a_wrong_fact_is_refused_with_its_line(fact, message, tmp_path):
    path = write_lines(tmp_path / "x.json", RECORDS["lic2019"], COMPLEX | {"spo_list": [fact]})
    with pytest.raises(DataError, match=message) as error:
        list(lic2019.read(path))
    assert (error.value.path, error.value.line) == (path, 2)
