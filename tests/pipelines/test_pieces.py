"""Files cut into pieces: every line in exactly one of them, and the input that a user means."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kexue.errors import DataError
from kexue.pipelines import pieces
from kexue.pipelines.pieces import cut, find_inputs, form_of, is_bulk

pyarrow = pytest.importorskip("pyarrow", reason="the parquet extra is not installed")
parquet = pytest.importorskip("pyarrow.parquet")


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scratch") / "lines"


@given(st.lists(st.binary(max_size=6)), st.integers(1, 5), st.integers(1, 9))
def test_pieces_are_the_lines_as_python_reads_them(scratch: Path, parts: list[bytes], size: int, block: int):
    scratch.write_bytes(b"\n".join(parts))
    content, before = scratch.read_bytes(), pieces.BLOCK
    pieces.BLOCK = block
    try:
        found = list(cut(scratch, "text", size))
    finally:
        pieces.BLOCK = before
    with scratch.open("rb") as file:
        lines = list(file)
    expected = [lines[first : first + size] for first in range(0, len(lines), size)]
    assert [content[start:end] for _, _, start, end in found] == [b"".join(part) for part in expected]
    assert [(first, count) for first, count, _, _ in found] == [
        (1 + index * size, len(part)) for index, part in enumerate(expected)
    ]


@pytest.mark.parametrize("rows", [0, 1, 7, 8])
def test_rows_of_parquet_are_counted_off(rows: int, tmp_path: Path):
    parquet.write_table(pyarrow.table({"text": ["a"] * rows}), tmp_path / "a.parquet")
    assert list(cut(tmp_path / "a.parquet", "parquet", 4)) == [
        (first, min(4, rows - first + 1), 0, 0) for first in range(1, rows + 1, 4)
    ]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.jsonl", "a.txt", "sub/c.NDJSON", "sub/d.parquet", ".hidden.txt", "_job/e.jsonl", "README.md"):
        path = tmp_path / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path / "in"


def test_a_folder_is_all_its_texts_in_order_and_says_what_it_leaves_out(folder: Path):
    found = find_inputs(folder)
    assert found.files == ("a.txt", "b.jsonl", "sub/c.NDJSON", "sub/d.parquet")
    assert found.others == ("README.md",)
    assert found.root == folder.resolve()


def test_a_file_and_a_pattern_are_what_they_name(folder: Path, monkeypatch: pytest.MonkeyPatch):
    assert find_inputs(folder / "README.md").files == ("README.md",)
    assert find_inputs(folder / "*").files == (".hidden.txt", "README.md", "a.txt", "b.jsonl")
    assert find_inputs(folder / "**" / "*.NDJSON").files == ("sub/c.NDJSON",)
    monkeypatch.chdir(folder.parent)
    found = find_inputs(Path("in/[ab].*"))
    assert (found.root, found.files) == (folder.resolve(), ("a.txt", "b.jsonl"))


def test_an_input_that_is_none_is_refused(folder: Path):
    for missing in (folder / "none.txt", folder / "*.csv", folder / "_job" / "nothing" / "*.txt"):
        with pytest.raises(DataError, match=r"no such file|holds no file"):
            find_inputs(missing)
    (folder / "x.jsonl.gz").touch()
    with pytest.raises(DataError, match=r"x\.jsonl\.gz: is compressed as a whole.*unpack it first"):
        find_inputs(folder)


def test_what_is_more_than_a_file_of_lines(folder: Path):
    assert is_bulk(folder) and is_bulk(folder / "*.txt") and is_bulk(folder / "sub" / "d.parquet")
    assert not is_bulk(folder / "a.txt") and not is_bulk(folder / "none")
    odd = folder / "a[1].txt"
    odd.touch()
    assert not is_bulk(odd)


@pytest.mark.parametrize(
    ("name", "content", "form"),
    [
        ("a.jsonl", b"text", "json"),
        ("a.txt", b"{}", "text"),
        ("a.pq", b"", "parquet"),
        ("a", b"\n \n{}", "json"),
        ("a", b"\xef\xbb\xbf\n{}", "json"),
        ("a.log", b"[1] plain", "text"),
        ("a.log", b"", "text"),
    ],
)
def test_the_form_of_a_file_is_that_of_a_stream(name: str, content: bytes, form: str, tmp_path: Path):
    (tmp_path / name).write_bytes(content)
    assert form_of(tmp_path / name) == form


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"PAR1 no", "cannot be read as Parquet"), (None, 'has no column "text", only body, id')],
)
def test_a_parquet_file_that_holds_no_texts_is_refused(content: bytes | None, said: str, tmp_path: Path):
    path = tmp_path / "a.parquet"
    if content is None:
        parquet.write_table(pyarrow.table({"body": ["a"], "id": [1]}), path)
    else:
        path.write_bytes(content)
    with pytest.raises(DataError, match=rf"a\.parquet: {said}"):
        list(cut(path, "parquet", 4))
