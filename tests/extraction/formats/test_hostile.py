"""No damaged file breaks a reader: it is read whole, or refused with its path and line, in time and in memory."""

from __future__ import annotations

import gzip
import json
import random
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from kexue import files
from kexue.errors import DataError
from kexue.extraction.document import Document
from kexue.extraction.formats import read_documents, write_documents
from tests.extraction.formats.hostile import RICH, STATED, TABLES, write_damaged
from tests.extraction.formats.samples import RECORDS, write_lines
from tests.hostile import damage_bytes

NAMES = [*RICH, *TABLES, "brat"]
FEW, MANY = 250, 6000
SECONDS = 10
GROWTH = 300 * 2**20  # bytes
WITHOUT_LINE = ("is empty", "holds no documents", "cannot be read", "cut short", "has none of the formats", "expands")


@contextmanager
def limited(seconds: float) -> Iterator[None]:
    """Raise TimeoutError where the block takes longer."""

    def ring(number: int, frame: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def records_of(path: Path) -> list[Any]:
    """The records of a file, by the plainest means."""
    text = path.read_bytes().decode("utf-8-sig")  # `read_text` would make other line ends of them
    try:
        whole = json.loads(text)
    except ValueError:
        return [json.loads(line) for line in text.split("\n") if line.strip()]
    return whole if isinstance(whole, list) else [whole]


def check_refusal(error: DataError, path: Path) -> None:
    """It names the file that was read and one of its lines, in words that can be printed on one line."""
    said = str(error)
    assert error.path is not None and Path(error.path).parent == path.parent, said
    num_lines = Path(error.path).read_bytes().count(b"\n") + 1
    if error.line is None:
        assert any(reason in said for reason in WITHOUT_LINE), said
    else:
        assert 1 <= error.line <= num_lines, said
    assert len(said) < 3000
    assert said.isprintable(), said


def check_documents(name: str, documents: list[Document], path: Path) -> None:
    """What was read is whole: it survives the native format, and nothing that a record states is missing."""
    for document in documents:
        again = Document.from_json(json.loads(json.dumps(document.to_json())))
        assert again == document or "NaN" in json.dumps(document.meta)
    write_documents(documents, path.parent / "again.jsonl", "native")
    assert len(read_documents(path.parent / "again.jsonl", "native").documents) == len(documents)
    if name not in STATED:
        return
    records = records_of(path)
    assert len(records) == len(documents)
    for record, document in zip(records, documents, strict=True):
        for found, stated in STATED[name]:
            if "duplicate_relations" not in record and not isinstance(record.get("meta"), dict):
                assert found(document) == stated(record)


def attack(name: str, num: int, folder: Path, seed: int) -> tuple[int, int]:
    """Read so many damaged files of a format; returns how many were read and how many refused."""
    read = refused = 0
    for index in range(num):
        chance = random.Random(f"{seed} {name} {index}")
        path = write_damaged(name, folder, chance)
        try:
            with limited(SECONDS):
                detected = index % 4 == 0
                reading = read_documents(path, None if detected else name)
                if reading.format == name:
                    check_documents(name, reading.documents, path)
                read += 1
        except DataError as error:
            check_refusal(error, path)
            refused += 1
        except Exception as error:
            shown = path.read_bytes()[:3000]
            text = (folder / "x.txt").read_bytes() if name == "brat" else b""
            raise AssertionError(
                f"seed {seed}, {name}, number {index}: {type(error).__name__}: {error}\n{shown!r}\n{text!r}"
            ) from error
    return read, refused


@pytest.mark.parametrize("name", NAMES)
def test_a_damaged_file_is_read_whole_or_refused_with_path_and_line(name: str, tmp_path: Path):
    read, refused = attack(name, FEW, tmp_path, seed=0)
    assert read > FEW / 50 and refused > FEW / 5


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_thousands_of_damaged_files_neither_break_a_reader_nor_fill_the_memory(name: str, tmp_path: Path):
    attack(name, 500, tmp_path, seed=1)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    attack(name, MANY, tmp_path, seed=2)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before < GROWTH


# --- what no chance would find ---


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"text": "a", "text": "b"}\n', r":1: .*the key 'text' is given twice"),
        ('{"text": "a"}\n{"text": "a", "entities": [{"start": 0, "start": 0}]}\n', ":2: .*'start' is given twice"),
        ('\n{\n"text": "a",\n"text": "b"}\n', ":2: .*'text' is given twice"),
        ('[{"text": "a"}]\n{"text": "b"}\n', ":1: more follows behind the JSON array"),
        ('[{"text": "a"},\n{"text": "b", "text": "c"}]', ":2: .*'text' is given twice"),
        ("[" * 100_000, ":1: is not a JSON array"),
        ('{"text": "a"}\n{"text": ' + "[" * 100_000 + "\n", ":2: .*nested too deeply"),
        ('{"text": "a", "meta": {"a": ' + "9" * 5000 + "}}", ":1: .*integer"),
    ],
)
def test_a_record_that_would_be_read_in_part_is_refused(content: str, said: str, tmp_path: Path):
    path = tmp_path / "x.jsonl"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=said):
        read_documents(path, "native")
    with pytest.raises(DataError):
        read_documents(path)


@pytest.mark.parametrize("content", ["-DOCSTART- -X- O O\n\n", "# text = a\n"])
def test_a_conll_file_without_sentences_holds_no_documents(content: str, tmp_path: Path):
    path = tmp_path / "x.conll"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match="holds no documents"):
        read_documents(path, "conll")


def packed(folder: Path, content: bytes) -> Path:
    (folder / "x.jsonl.gz").write_bytes(content)
    return folder / "x.jsonl.gz"


def test_a_damaged_compressed_file_is_refused_whatever_the_damage(tmp_path: Path):
    whole = gzip.compress((json.dumps(RECORDS["native"]) + "\n").encode() * 50)
    refused = 0
    for index in range(400):
        chance = random.Random(index)
        try:
            read_documents(packed(tmp_path, damage_bytes(whole, chance)))
        except DataError as error:
            assert error.path == tmp_path / "x.jsonl.gz"
            refused += 1
    assert refused > 300


def test_a_file_that_expands_without_measure_is_refused_before_it_fills_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(files, "MOST", 2**20)
    bomb = packed(tmp_path, gzip.compress(b'{"text": "' + b" " * 2**22 + b'"}'))
    with pytest.raises(DataError, match=r"x\.jsonl\.gz: expands to more than 1,048,576 bytes.*decompress it first"):
        read_documents(bomb)
    monkeypatch.setattr(files, "RATIO", 2000)
    assert len(read_documents(bomb).documents) == 1


def test_half_of_a_surrogate_pair_survives_from_file_to_file(tmp_path: Path):
    path = tmp_path / "x.jsonl"
    path.write_text('{"text": "a \\ud800 b", "entities": [{"start": 2, "end": 3, "label": "\\udfff"}]}\n')
    documents = read_documents(path).documents
    for name, target in (("native", "y.jsonl"), ("doccano", "d.jsonl"), ("label_studio", "l.json")):
        write_documents(documents, tmp_path / target, name)
        again = read_documents(tmp_path / target).documents[0]
        assert (again.text, again.entities) == (documents[0].text, documents[0].entities)
    with pytest.raises(DataError, match="half of a surrogate pair"):
        write_documents(documents, tmp_path / "folder", "brat")


def test_a_surface_that_stands_everywhere_takes_no_quadratic_time(tmp_path: Path):
    text = "a b " * 20_000
    record = {"text": text, "relation_list": [], "entity_list": [{"text": "a"}, {"text": "b"}]}
    triples = {"text": text, "triple_list": [["a", "is", "b"], ["a b", "is", "b a"]]}
    with limited(SECONDS):
        (document,) = read_documents(write_lines(tmp_path / "x.json", record)).documents
        assert len(document.entities) == 40_000
        read_documents(write_lines(tmp_path / "y.json", triples))


def test_a_message_repeats_little_of_a_file_and_nothing_that_a_terminal_obeys(tmp_path: Path):
    path = write_lines(tmp_path / "x.json", {"text": "a", "entities": "\x1b[2J\u202e" + "x" * 10**6})
    with pytest.raises(DataError) as error:
        read_documents(path, "native")
    check_refusal(error.value, path)
    path = write_lines(tmp_path / "y.json", {"txt\x1b" + "x" * 10**6: 1})
    with pytest.raises(DataError) as error:
        read_documents(path, "spert")
    check_refusal(error.value, path)
