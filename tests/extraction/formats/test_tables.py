"""Tables of triples: one row per relation, nothing lost."""

from __future__ import annotations

import csv
import sys

import pytest
from hypothesis import given

from kexue.errors import OptionError
from kexue.extraction.document import Document, Relation, Span, Unaligned
from kexue.extraction.formats import tables

from .samples import BORN, TEXT, documents


def expected(documents):
    """The rows as strings, written out once more by hand."""
    rows = []
    for number, d in enumerate(documents, start=1):
        name = d.id or str(number)
        for r in d.relations:
            s, o = r.subject, r.object
            rows.append(
                [
                    name,
                    d.text[s.start : s.end],
                    s.label,
                    str(s.start),
                    str(s.end),
                    r.predicate,
                    d.text[o.start : o.end],
                    o.label,
                    str(o.start),
                    str(o.end),
                    "",
                ]
            )
        rows += [[name, u.strings[0], "", "", "", u.label, u.strings[1], "", "", "", ""] for u in d.unaligned]
    return rows


@given(documents(), documents())
def test_csv_read_back_has_every_fact_character_by_character(tmp_path_factory, first, second):
    path = tmp_path_factory.mktemp("x") / "x.csv"
    tables.write_csv([first, second], path)
    with path.open(encoding="utf-8", newline="") as file:
        heading, *rows = csv.reader(file)
    assert tuple(heading) == tables.COLUMNS
    assert rows == expected([first, second])


def test_parquet_read_back_has_every_fact_and_its_types(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    scored = Relation(BORN.subject, "born in", BORN.object, 0.5)
    document = Document(TEXT, relations=[scored], unaligned=[Unaligned("relation", "r", ("a", "b"), "gone")])
    tables.write_parquet([document] * 2, tmp_path / "x.parquet")
    table = parquet.read_table(tmp_path / "x.parquet")
    assert table.schema.field("subject_start").type == pyarrow.int64()
    assert table.schema.field("score").type == pyarrow.float64()
    first, second, *_ = table.to_pylist()
    assert table.num_rows == 4
    assert list(first.values()) == ["1", "Marie Curie", "PER", 0, 11, "born in", "Warsaw", "LOC", 17, 23, 0.5]
    assert list(second.values()) == ["1", "a", None, None, None, "r", "b", None, None, None, None]


def test_parquet_is_written_in_parts(tmp_path, monkeypatch):
    parquet = pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr(tables, "_ROWS_AT_ONCE", 3)
    tables.write_parquet((Document(TEXT, relations=[BORN]) for _ in range(7)), tmp_path / "x.parquet")
    assert parquet.read_table(tmp_path / "x.parquet").column("document").to_pylist() == list("1234567")


def test_without_pyarrow_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(OptionError, match=r"pip install 'kexue\[parquet\]'"):
        tables.write_parquet([], tmp_path / "x.parquet")


def test_the_pieces_of_a_discontinuous_span_are_one_cell(tmp_path):
    span = Span(0, 16, "x", None, ((0, 5), (12, 16)))
    (row,) = tables.rows([Document(TEXT, relations=[Relation(span, "r", span)])])
    assert row["subject"] == "Marie left"


@pytest.mark.parametrize(
    ("id", "meta", "name"),
    [
        ("n1", {"line": 7}, "n1"),
        (None, {"line": 7}, "7"),
        (None, {"file": "a.txt", "line": 7}, "a.txt:7"),
        (None, {"file": "a"}, "1"),
    ],
)
def test_a_document_is_named_by_its_id_or_its_place(id, meta, name):
    (row,) = tables.rows([Document(TEXT, relations=[BORN], id=id, meta=meta)])
    assert row["document"] == name
