"""From documents to statements: the same ids in every run, the words around, the lines of wrong files."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from kexue.data import demo_path
from kexue.errors import DataError
from kexue.extraction.document import Document, Relation, Span
from kexue.integrations.graph import read_facts, to_source
from kexue.integrations.graph.statements import LONGEST, MARGIN
from tests.integrations.graph.samples import document, write

ASPIRIN, RASH = ("Aspirin", "drug"), ("rash", "effect")


def test_a_statement_has_its_ends_its_score_and_the_sentence():
    text = "It rained. Aspirin caused a rash in May. It went."
    (statement,) = to_source(
        Document(text, relations=[Relation(Span(11, 18, "drug"), "causes", Span(28, 32), 0.5)])
    ).statements
    assert statement.text == "Aspirin caused a rash in May."
    assert (statement.subject.entity.key, statement.predicate, statement.object.entity.key) == (
        "drug/aspirin",
        "causes",
        "/rash",
    )
    assert (statement.subject.start, statement.subject.end, statement.score) == (11, 18, 0.5)


def test_the_sentences_between_two_mentions_are_all_there():
    text = "昨天下雨。金海重工交付一艘船。它很大。总长114米。完。"
    ship, length = text.index("船"), text.index("114米")
    (statement,) = to_source(
        Document(text, relations=[Relation(Span(length, length + 4), "长", Span(ship, ship + 1))])
    ).statements
    assert statement.text == "金海重工交付一艘船。它很大。总长114米。"


def test_of_mentions_far_apart_only_the_words_around_are_kept():
    text = "x" * 5000 + " Aspirin " + "y" * 5000 + " rash " + "z" * 5000
    places = text.index("Aspirin"), text.index("rash")
    source = to_source(
        Document(text, relations=[Relation(Span(places[0], places[0] + 7), "p", Span(places[1], places[1] + 4))])
    )
    (statement,) = source.statements
    first, second = statement.text.split(" … ")
    assert "Aspirin" in first and "rash" in second and len(first) <= 2 * MARGIN + 7 < LONGEST


def test_a_broken_name_is_joined_and_keeps_its_pieces():
    text = "left and right eye pain"
    span = Span(0, 18, "part", fragments=((0, 4), (15, 18)))
    (statement,) = to_source(Document(text, relations=[Relation(span, "p", Span(19, 23))])).statements
    assert statement.subject.entity.name == "left eye"
    assert statement.subject.pieces == ((0, 4), (15, 18))


def test_ids_are_the_same_in_every_run_and_differ_wherever_the_statement_does():
    base = document("d", (ASPIRIN, "causes", RASH, 0.5))
    others = [
        document("e", (ASPIRIN, "causes", RASH, 0.5)),
        document("d", (ASPIRIN, "treats", RASH, 0.5)),
        document("d", (("Aspirin", "brand"), "causes", RASH, 0.5)),
        document("d", (RASH, "causes", ASPIRIN, 0.5)),
    ]
    ids = [to_source(it).statements[0].id for it in (base, *others)]
    assert len(set(ids)) == len(ids)
    assert ids[0] == to_source(document("d", (ASPIRIN, "causes", RASH, 0.9))).statements[0].id
    assert ids[0] == "d7ca7cdad94f9c0627dcc32efc527fbf"  # another digest would double every graph that exists


def test_a_document_without_an_id_is_known_by_its_text():
    ids = [to_source(document(None, (ASPIRIN, "causes", (name, ""), None))).id for name in ("rash", "rash", "pain")]
    assert ids[0] == ids[1] != ids[2]


def test_of_a_relation_given_twice_the_higher_score_counts():
    twice = document("d", (ASPIRIN, "causes", RASH, 0.5))
    relation = twice.relations[0]
    for scores in ((0.2, 0.9, None), (None, 0.9), (0.9, 0.2)):
        twice.relations = [Relation(relation.subject, "causes", relation.object, score) for score in scores]
        assert [it.score for it in to_source(twice).statements] == [0.9]


def test_half_a_surrogate_pair_is_replaced_and_moves_nothing():
    source = to_source(document("\udc00", (("a\ud83d", "t\ud800"), "p\udfff", ("\ude00b", ""), None)))
    (statement,) = source.statements
    assert (source.id, statement.subject.entity.name, statement.subject.entity.type) == ("\ufffd", "a\ufffd", "t\ufffd")
    assert source.text[statement.object.start : statement.object.end] == "\ufffdb" == statement.object.entity.name


@pytest.mark.parametrize("answer", ["", None, 3])
def test_a_key_function_that_gives_no_string_is_named(answer: object):
    with pytest.raises(DataError, match="key of 'Aspirin'"):
        to_source(document("d", (ASPIRIN, "causes", RASH, None)), key=lambda *_: answer)  # type: ignore


def test_files_are_read_in_turn_plain_and_compressed_and_know_their_lines(tmp_path: Path):
    first = write(tmp_path / "a.jsonl", document("1", (ASPIRIN, "causes", RASH, 0.5)))
    first.write_text(
        "\ufeff" + first.read_text("utf-8") + "\n \n" + json.dumps({"text": "a\u2028b"}, ensure_ascii=False), "utf-8"
    )
    second = tmp_path / "b.jsonl.gz"
    second.write_bytes(gzip.compress(write(tmp_path / "b", document("2"), document("3")).read_bytes()))
    found = list(read_facts([first, second]))
    assert [it.id for it in found][:1] + [it.id for it in found][2:] == ["1", "2", "3"]
    assert [it.place for it in found] == [f"{first}:1", f"{first}:4", f"{second}:1", f"{second}:2"]


def test_the_report_reaches_the_size_of_the_files(tmp_path: Path):
    paths = [write(tmp_path / "a", document("1")), write(tmp_path / "b", document("2"))]
    told: list[int] = []
    assert len(list(read_facts(paths, report=told.append))) == 2
    assert told == sorted(told) and told[-1] == sum(path.stat().st_size for path in paths)


def test_the_demo_data_are_read_whole():
    found = list(read_facts([demo_path("phee", "test"), demo_path("cnshipnet", "test")]))
    assert len(found) == 968 + len(list(read_facts([demo_path("cnshipnet", "test")])))
    assert sum(len(it.statements) for it in found[:968]) == 1780


GOOD = b'{"text": "a b", "relations": []}\n'
WRONG = [
    (GOOD + b'{"text": "a b", "relat', ":2: is not a JSON record"),
    (GOOD + b"\xff\n", ":2: is not UTF-8"),
    (b"[\n" + GOOD + b"]", ":1: is not a JSON record"),
    (b'[{"text": "a"}]', ":1: is not one document"),
    (GOOD + b"\n" + b'"text"\n', ":3: is not one document"),
    (GOOD + b'{"text": "a", "relation": []}\n', ":2: has a key 'relation'; is 'relations' meant?"),
    (GOOD + b'{"text": "a", "relations": [{"subject": {"start": 0, "end": 9}}]}\n', ":2: subject start=0 end=9"),
    (GOOD + b'{"text": 3}\n', ":2: 'text' must be a string"),
    (GOOD + b"[" * 100_000 + b"\n", ":2: is not a JSON record (nested too deeply)"),
    (GOOD + b'{"text": ' + b"1" * 5000 + b"}\n", ":2: is not a JSON record (Exceeds the limit"),
    (GOOD + b'{"text": "a", "text": "b"}\n', ":2: is not a JSON record (the key 'text' is given twice)"),
]


@pytest.mark.parametrize(("content", "said"), WRONG, ids=[said for _, said in WRONG])
def test_a_broken_line_is_named(content: bytes, said: str, tmp_path: Path):
    path = tmp_path / "facts.jsonl"
    path.write_bytes(content)
    with pytest.raises(DataError) as error:
        list(read_facts([path]))
    assert str(error.value).startswith(f"{path}{said}")


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-9], lambda data: b"no gzip", lambda data: data[:30] + b"0000" + data[34:]]
)
def test_a_damaged_compressed_file_is_refused(damage, tmp_path: Path):
    path = tmp_path / "facts.jsonl.gz"
    path.write_bytes(damage(gzip.compress(GOOD * 1000)))
    with pytest.raises(DataError, match="damaged or was cut short"):
        list(read_facts([path]))


def test_a_file_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(DataError, match=r"none\.jsonl: cannot be read"):
        list(read_facts([tmp_path / "none.jsonl"]))
