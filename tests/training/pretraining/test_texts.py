"""Text in many forms is the documents that a person sees in it, or is refused with file and line."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from kexue.errors import DataError, OptionError
from kexue.training.pretraining import texts as texts_module
from kexue.training.pretraining.texts import Texts

TEN_BYTES = gzip.compress(b"", mtime=0)[:10]
"""The header of a compressed file."""


def read(path: Path, **options: str) -> list[str]:
    return list(Texts([path], **options))


def write(folder: Path, content: bytes, name: str = "a.txt") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("content", "documents"),
    [
        ("one\ntwo\nthree", ["one", "two", "three"]),
        ("one\r\ntwo\r\n", ["one", "two"]),
        ("one\ntwo\n\nthree\nfour", ["one\ntwo", "three\nfour"]),
        ("one\r\ntwo\r\n \t \r\nthree", ["one\ntwo", "three"]),
        ("\n\none\ntwo\n", ["one", "two"]),
        ("\ufeffone\ntwo", ["one", "two"]),
        ("玛丽·居里生于华沙。\n𠀀 and 😀\u2028here", ["玛丽·居里生于华沙。", "𠀀 and 😀\u2028here"]),
        ("[1] is no JSON\n{nor is this", ["[1] is no JSON", "{nor is this"]),
        ("1" * 5000 + "\ntwo", ["1" * 5000, "two"]),
        ("[" * 100_000 + "\ntwo", ["[" * 100_000, "two"]),
    ],
)
def test_plain_text_is_lines_or_what_stands_between_blank_ones(content: str, documents: list[str], tmp_path: Path):
    assert read(write(tmp_path, content.encode())) == documents
    assert read(write(tmp_path, gzip.compress(content.encode()), "b.txt.gz")) == documents


def test_json_lines_are_read_by_their_key(tmp_path: Path):
    lines = [json.dumps({"text": "a\nb", "body": "x"}), "", json.dumps({"text": "\u4e2d\u2028", "body": "y"})]
    path = write(tmp_path, "\r\n".join(lines).encode(), "a.jsonl")
    assert read(path) == ["a\nb", "\u4e2d\u2028"]
    assert read(path, key="body") == ["x", "y"]


def test_annotated_text_gives_its_text(tmp_path: Path):
    conll = write(tmp_path, b"John B-PER\nsleeps O\n\nMary B-PER\nruns O\n", "a.conll")
    assert read(conll) == ["John sleeps", "Mary runs"]
    triples = json.dumps([{"text": "a is b", "triple_list": [["a", "is", "b"]]}]).encode()
    assert read(write(tmp_path, triples, "a.json")) == ["a is b"]
    brat = write(tmp_path, b"Aspirin caused a rash.", "brat/a.txt").parent
    write(tmp_path, b"T1\tDrug 0 7\tAspirin\n", "brat/a.ann")
    assert read(brat) == ["Aspirin caused a rash."]


def test_a_folder_is_its_files_in_order_and_files_keep_the_order_given(tmp_path: Path):
    b = write(tmp_path, b"b1\nb2", "folder/b.txt")
    a = write(tmp_path, b'{"text": "a"}', "folder/sub/a.jsonl")
    write(tmp_path, b"hidden", "folder/.hidden")
    assert read(tmp_path / "folder") == ["b1", "b2", "a"]
    assert list(Texts([a, b])) == ["a", "b1", "b2"]


def test_a_document_without_end_is_cut_at_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(texts_module, "LONGEST", 10)
    path = write(tmp_path, b"a\n\n" + b"seven77\n" * 5)
    assert read(path) == ["a", "seven77\nseven77", "seven77\nseven77", "seven77"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", "好\n坏".encode() + b"\nfine\n\xc4\xe3\n", r"a\.txt:4: is not UTF-8 \(byte 0xc4\).*iconv"),
        (
            "a.jsonl",
            b'{"text": "a"}\n{"texts": "b"}',
            r"a\.jsonl:2: the record lacks 'text'.*'texts' meant.*--set key=",
        ),
        ("a.jsonl", b'{"body": "a"}', r"a\.jsonl:1: the record lacks 'text'; it has \['body'\]"),
        ("a.jsonl", b'{"text": "a"}\n\n{"text": ', r"a\.jsonl:3: is not a JSON record"),
        (
            "a.jsonl",
            b'{"text": "a"}\n{"text": ' + b"1" * 5000 + b"}",
            r"a\.jsonl:2: is not a JSON record \(Exceeds",
        ),
        ("a.jsonl", b'{"text": "a"}\n' + b"[" * 100_000, r"a\.jsonl:2: is not a JSON record \(nested too deeply\)"),
        (
            "a.jsonl",
            b'{"text": "a", "text": "b"}',
            r"a\.jsonl:1: is not a JSON record \(the key .*twice\)",
        ),
        ("a.jsonl", b'{"text": "a"}\n{"text": 3}', r"a\.jsonl:2: 'text' of the record must be a string, got 3"),
        ("a.jsonl", b'{"text": "a"}\n["b"]', r"a\.jsonl:2: a record must be an object"),
        ("a.txt.gz", gzip.compress(b"one\ntwo" * 99, mtime=0)[:-20], r"a\.txt\.gz: .* damaged or was cut short"),
        ("a.txt.gz", TEN_BYTES + b"\xff" * 20, r"a\.txt\.gz: .* damaged or was cut short"),
        ("a.txt.gz", b"one\ntwo", r"a\.txt\.gz: cannot be read: Not a gzipped file"),
    ],
)
def test_what_is_wrong_is_named_with_file_and_line(name: str, content: bytes, message: str, tmp_path: Path):
    with pytest.raises(DataError, match=message):
        read(write(tmp_path, content, name))


def test_absent_files_empty_folders_and_unknown_formats_are_refused(tmp_path: Path):
    with pytest.raises(DataError, match=r"none\.txt: there is no such file"):
        read(tmp_path / "none.txt")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="is a folder without files"):
        read(tmp_path / "empty")
    with pytest.raises(OptionError, match="Did you mean 'jsonl'"):
        Texts([tmp_path], format="json")


def test_a_file_is_never_read_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Neither plain text, nor records longer than what detection looks at."""
    long = json.dumps({"text": "x" * 200_000}).encode()
    files = [write(tmp_path, b"word " * 20 + b"\n", "a.txt"), write(tmp_path, long + b"\n" + long, "b.jsonl")]
    monkeypatch.setattr(Path, "read_bytes", lambda self: pytest.fail(f"{self} is read whole"))
    assert [len(text) for text in Texts(files)] == [100, 200_000, 200_000]
