"""A piece as documents: what is wrong comes out with its line and its reason, and what follows it is still read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kexue.errors import DataError
from kexue.extraction.document import Document
from kexue.pipelines import reading
from kexue.pipelines.pieces import Piece, cut, form_of
from kexue.pipelines.quarantine import Reject, quarantine
from kexue.pipelines.reading import read_piece, too_long

pyarrow = pytest.importorskip("pyarrow", reason="the parquet extra is not installed")
parquet = pytest.importorskip("pyarrow.parquet")


def read(path: Path, size: int = 100, limit: int = 100) -> list[Document | Reject]:
    form = form_of(path)
    places = [Piece(0, path.name, form, *place) for place in cut(path, form, size)]
    return [item for piece in places for item in read_piece(path.parent, piece, lambda item: too_long(item, limit))]


BAD: list[tuple[bytes, str]] = [
    (b'{"text": "a"', "is not a JSON record (Expecting ',' delimiter at column 13)"),
    (b"[" * 100_000, "is not a JSON record (nested too deeply)"),
    (b'{"text": "a", "n": ' + b"1" * 5000 + b"}", "is not a JSON record (Exceeds the limit (4300 digits)"),
    (b'{"txt": "a"}', 'has no string "text"'),
    (b'{"text": null}', 'has no string "text"'),
    (b'{"text": 7}', 'has no string "text"'),
    (b'"text"', 'has no string "text"'),
    (b'{"text": "a", "meta": [1]}', '"meta" must be an object, got list'),
    ('{"text": "坏"}'.encode("gb18030"), "is not UTF-8 (byte 0xbb)"),
    (json.dumps({"text": "a" * 101}).encode(), "has 101 characters, more than the 100 of --max-characters"),
    (b"\x00\xff", "is not UTF-8"),
]


@pytest.mark.parametrize(("line", "reason"), BAD)
def test_a_line_that_is_no_document_is_rejected_and_the_next_one_read(line: bytes, reason: str, tmp_path: Path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"text": "first", "id": "1"}\n\n' + line + b'\n{"text": "last"}')
    first, bad, last = read(path)
    assert isinstance(bad, Reject)
    assert (bad.file, bad.line, bad.content) == ("a.jsonl", 3, line + b"\n")
    assert bad.reason.startswith(reason)
    assert first == Document("first", id="1")
    assert last == Document("last", meta={"file": "a.jsonl", "line": 4})


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_pieces_together_are_the_whole_file(size: int, tmp_path: Path):
    path = tmp_path / "a.txt"
    path.write_bytes("\ufeffeins\r\n\n{zwei\n\xa0\ndrei".encode())
    assert [(item.text, item.meta["line"]) for item in read(path, size) if isinstance(item, Document)] == [
        ("eins", 1),
        ("{zwei", 3),
        ("drei", 5),
    ]


@pytest.mark.parametrize("length", [7, 8, 9, 16, 17, 30])
def test_a_line_beyond_all_bounds_is_passed_over_and_not_held(
    length: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(reading, "MAX_LINE", 8)
    path = tmp_path / "a.txt"
    path.write_bytes(b"one\n" + b"x" * length + b"\nthree\n")
    one, two, three = read(path)
    assert (one.text, three.text, three.meta["line"]) == ("one", "three", 3)
    if length < 8:
        assert two.text == "x" * 7
    else:
        assert (two.line, two.reason, two.content) == (2, "is longer than 8 bytes", None)


def test_a_file_that_became_shorter_stops_the_job(tmp_path: Path):
    (tmp_path / "a.txt").write_bytes(b"one\n")
    with pytest.raises(DataError, match=r"a\.txt: has become shorter"):
        list(read_piece(tmp_path, Piece(0, "a.txt", "text", 1, 2, 0, 8), lambda item: None))
    with pytest.raises(DataError, match=r"b\.txt: cannot be read: No such file"):
        list(read_piece(tmp_path, Piece(0, "b.txt", "text", 1, 2, 0, 8), lambda item: None))


# --- Parquet ---


def binary_as_text(values: list[bytes]) -> Any:
    """A column that says it is UTF-8 and is not."""
    array = pyarrow.array(values, pyarrow.binary())
    return pyarrow.Array.from_buffers(pyarrow.string(), len(array), array.buffers())


def test_rows_keep_id_and_meta_and_what_is_wrong_is_rejected(tmp_path: Path):
    texts = binary_as_text([b"a", "坏".encode("gb18030"), b"c"])
    table = pyarrow.table({"text": texts, "id": [7, 8, None], "meta": ['{"page": 1}', None, None], "other": [1, 2, 3]})
    parquet.write_table(table, tmp_path / "a.parquet")
    first, bad, last = read(tmp_path / "a.parquet")
    assert first == Document("a", id="7", meta={"page": 1})
    assert (bad.line, bad.reason[:12], bad.content) == (2, "is not UTF-8", "坏".encode("gb18030"))
    assert last == Document("c", meta={"line": 3, "file": "a.parquet"})


@pytest.mark.parametrize(
    ("column", "reason"),
    [
        (pyarrow.array([None], pyarrow.string()), 'has no string "text", but none'),
        (pyarrow.array([7]), 'has no string "text", but int'),
        (pyarrow.array(["a" * 101]), "has 101 characters"),
    ],
)
def test_a_row_without_a_text_is_rejected(column: Any, reason: str, tmp_path: Path):
    parquet.write_table(pyarrow.table({"text": column}), tmp_path / "a.parquet")
    (bad,) = read(tmp_path / "a.parquet")
    assert isinstance(bad, Reject) and bad.reason.startswith(reason) and bad.content


@pytest.mark.parametrize(
    "kind",
    [pyarrow.string(), pyarrow.large_string(), pyarrow.binary(), pyarrow.dictionary(pyarrow.int8(), pyarrow.string())],
)
def test_every_kind_of_string_is_a_text(kind: Any, tmp_path: Path):
    parquet.write_table(pyarrow.table({"text": pyarrow.array(["中", "b"]).cast(kind)}), tmp_path / "a.parquet")
    assert [item.text for item in read(tmp_path / "a.parquet")] == ["中", "b"]


@pytest.mark.parametrize("meta", [[{"page": 1}], ['{"page": 1}'], [{"page": 1, "none": None}]])
def test_meta_is_an_object_as_structs_or_as_json(meta: list[Any], tmp_path: Path):
    parquet.write_table(pyarrow.table({"text": ["a"], "id": ["x"], "meta": meta}), tmp_path / "a.parquet")
    (item,) = read(tmp_path / "a.parquet")
    assert item.meta["page"] == 1


@pytest.mark.parametrize("meta", ["{", "[1]"])
def test_meta_that_is_no_object_is_rejected(meta: str, tmp_path: Path):
    parquet.write_table(pyarrow.table({"text": ["a"], "meta": [meta]}), tmp_path / "a.parquet")
    (bad,) = read(tmp_path / "a.parquet")
    assert isinstance(bad, Reject) and '"meta"' in bad.reason


@pytest.mark.parametrize("size", [1, 3, 7, 50])
@pytest.mark.parametrize("group", [1, 4, 50])
def test_pieces_of_rows_together_are_the_whole_file(
    size: int, group: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(reading, "ROWS", 2)
    texts = [str(number) for number in range(20)]
    parquet.write_table(pyarrow.table({"text": texts}), tmp_path / "a.parquet", row_group_size=group)
    assert [(item.text, item.meta["line"]) for item in read(tmp_path / "a.parquet", size)] == [
        (text, number + 1) for number, text in enumerate(texts)
    ]


def test_damaged_rows_are_counted_and_the_other_pieces_read(tmp_path: Path):
    path = tmp_path / "a.parquet"
    texts = [f"{number} " + "x" * 200 for number in range(40)]
    parquet.write_table(
        pyarrow.table({"text": texts}), path, row_group_size=20, compression="zstd", use_dictionary=False
    )
    place = parquet.ParquetFile(path).metadata.row_group(1).column(0).data_page_offset
    content = bytearray(path.read_bytes())
    content[place : place + 60] = b"\xff" * 60
    path.write_bytes(content)
    found = read(path, 10, limit=1000)
    assert [item.text for item in found if isinstance(item, Document)] == texts[:20]
    bad = [item for item in found if isinstance(item, Reject)]
    assert [(item.line, item.count) for item in bad] == [(21, 10), (31, 10)]
    assert "rows from here to 30 are damaged" in bad[0].reason


# --- quarantine ---


def test_what_is_in_quarantine_can_be_mended(tmp_path: Path):
    path = tmp_path / "deep" / "0.jsonl"
    with quarantine(path) as put:
        put(Reject("a", 3, "broken", "{坏\n".encode()))
        put(Reject("a", 4, "not UTF-8", b"\xff"))
        put(Reject("b", 5, "damaged", count=7))
        assert not path.exists()
    assert [json.loads(line) for line in path.read_text("utf-8").splitlines()] == [
        {"file": "a", "line": 3, "reason": "broken", "content": "{坏\n"},
        {"file": "a", "line": 4, "reason": "not UTF-8", "content_base64": "/w=="},
        {"file": "b", "line": 5, "reason": "damaged", "count": 7},
    ]
    with quarantine(path):
        pass
    assert not path.exists()
