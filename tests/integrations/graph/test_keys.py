"""Which names are one entity: Unicode's equivalences, types kept apart, and a user's own table."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kexue.errors import DataError
from kexue.integrations.graph import AliasTable, entity_key, normalise

TEXTS = st.text(max_size=12)


@given(TEXTS)
def test_normalising_twice_is_normalising_once(text: str):
    assert normalise(normalise(text)) == normalise(text)


@given(TEXTS)
def test_spellings_that_unicode_calls_equivalent_are_one(text: str):
    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        assert normalise(unicodedata.normalize(form, text)) == normalise(text)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Aspirin", "ASPIRIN"),
        ("ａｓｐｉｒｉｎ", "aspirin"),
        ("Straße", "STRASSE"),
        ("acetylsalicylic\u00a0 acid\n", "Acetylsalicylic acid"),
        ("as\u00adpi\u200brin", "aspirin"),
        ("e\u0301tude", "étude"),
        ("e\u200d\u0301tude", "étude"),
        ("１１４ｍ", "114m"),
        ("（喜悦）", "(喜悦)"),
        ("ΣΊΣΥΦΟΣ", "σίσυφος"),
    ],
)
def test_spellings_of_one_name_have_one_key(one: str, other: str):
    assert entity_key(one, "x") == entity_key(other, "X")


@pytest.mark.parametrize(
    ("one", "other"), [("喜悦", "喜悅"), ("左旋氧氟沙星", "氧氟沙星"), ("β", "b"), ("C++", "C"), ("AT", "A T")]
)
def test_names_that_differ_stay_apart(one: str, other: str):
    assert entity_key(one, "") != entity_key(other, "")


def test_chinese_is_not_changed():
    text = "江苏宏强船舶重工有限公司“喜悦”号，龍骨、㐂。"
    assert normalise(text).replace(",", "，") == text


def test_a_name_in_which_nothing_is_left_is_kept():
    assert normalise("\u200b") == "\u200b"
    assert entity_key("\u200b", "") != entity_key("\u200d", "")


@given(TEXTS, TEXTS, TEXTS, TEXTS)
def test_two_pairs_of_name_and_type_never_share_a_key(name: str, type: str, other: str, kind: str):
    same = (normalise(name), normalise(type)) == (normalise(other), normalise(kind))
    assert (entity_key(name, type) == entity_key(other, kind)) == same


@given(TEXTS, TEXTS)
def test_a_default_key_is_never_an_address(name: str, type: str):
    assert not entity_key(name, type + ":").startswith(("http:/", "https:/", "urn:"))
    assert entity_key("/evil", "http:") == "http%3A//evil"


def test_aliases_make_one_entity_of_several_names(tmp_path: Path):
    path = tmp_path / "aliases.csv"
    path.write_text('name,type,id\nAspirin,drug,D001241\n"acetylsalicylic acid",DRUG,D001241\nASS,,D001241\n', "utf-8")
    key = AliasTable.read(path)
    names = [("ASPIRIN", "drug"), ("Acetylsalicylic  acid", "drug"), ("ass", "anything")]
    assert {key(*pair) for pair in names} == {"D001241"}
    assert key("aspirin", "brand") == "brand/aspirin"


def test_a_type_of_its_own_goes_before_any_type(tmp_path: Path):
    path = tmp_path / "aliases.tsv"
    path.write_text("insulin\t\tany\ninsulin\tdrug\tthis\n\n", "utf-8")
    key = AliasTable.read(path)
    assert (key("Insulin", "drug"), key("Insulin", "hormone")) == ("this", "any")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("name,id\na,1\na,2\n", ":3: 'a' has the id '1' already"),
        ("a,b,c,d\n", ":1: has 4 columns"),
        ("a,1\n,2\n", ":2: a name and an id are needed"),
        ('a,1\n"b\nc",\n', ":3: a name and an id are needed"),
        ("", "is empty"),
    ],
)
def test_a_wrong_table_is_refused_with_its_line(content: str, said: str, tmp_path: Path):
    path = tmp_path / "aliases.csv"
    path.write_text(content, "utf-8")
    with pytest.raises(DataError) as error:
        AliasTable.read(path)
    assert str(error.value).startswith(str(path)) and said in str(error.value)
