"""A file to a file: formats, mistakes named by line, bounded memory, and a kill that changes no byte."""

from __future__ import annotations

import io
import json
import os
import signal
from collections.abc import Iterator
from itertools import count, islice
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

from kexue.errors import DataError, OptionError
from kexue.extraction.document import Document
from kexue.extraction.formats import read_documents
from kexue.extraction.metrics import evaluate
from kexue.pipelines.bulk import Progress, extract_file, extract_stream, kept, read_stream
from kexue.pipelines.extractor import Extractor
from kexue.pipelines.resuming import fingerprint
from tests.training.tiny import sentences

PROCESSES = get_context("forkserver")
PROCESSES.set_forkserver_preload(["tests.pipelines.test_bulk"])
GOLD = sentences(10)
CHUNK = 8


def read(content: bytes, source: str = "stdin") -> list[Document]:
    return list(read_stream(io.BytesIO(content), source=source))


# --- reading ---


def test_plain_text_is_one_document_a_line_that_knows_its_number():
    found = read("\ufeff第一句。\r\n\n \t\nsecond\u2028line\n".encode())
    assert [(item.id, item.text) for item in found] == [(None, "第一句。"), (None, "second\u2028line")]
    assert [item.meta for item in found] == [{"line": 1}, {"line": 4}]


def test_json_lines_keep_id_and_meta():
    found = read(b'{"text": "a", "id": 7, "meta": {"page": 1}}\n\n{"text": "", "entities": 3}\n')
    assert [(item.id, item.text, item.meta) for item in found] == [("7", "a", {"page": 1}), (None, "", {"line": 3})]


def test_the_suffix_decides_before_the_first_line():
    assert read(b'{"not": json}\n', "notes.txt")[0].text == '{"not": json}'
    with pytest.raises(DataError, match=r"list\.json:1: is not a JSON record"):
        read(b"[\n", "list.json")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"text": "a"}\n{"text": "b"\n', "stdin:2: is not a JSON record"),
        (b'{"text": "a"}\nplain\n', "stdin:2: is not a JSON record"),
        (b'{"text": ' + b"1" * 5000 + b"}\n", "stdin:1: is not a JSON record (Exceeds the limit"),
        (b'{"text": ' + b"[" * 100_000 + b"\n", "stdin:1: is not a JSON record (nested too deeply)"),
        (b'{"text": "a", "text": "b"}\n', "stdin:1: is not a JSON record (the key 'text' is given twice)"),
        (b'{"text": null}\n', 'stdin:1: has no string "text"'),
        (b'{"txt": "a"}\n', 'stdin:1: has no string "text"'),
        (b'{"text": "a"}\n["text"]\n', 'stdin:2: has no string "text"'),
        (b'{"text": "a", "meta": [1]}\n', 'stdin:1: "meta" must be an object, got list'),
        ("好\n".encode() + "坏".encode("gb18030"), "stdin:2: is not UTF-8 (byte 0xbb)"),
        ("a\n".encode("utf-16"), "stdin:1: is UTF-16 and not UTF-8"),
        ("ab\n".encode("utf-16-le"), "stdin:1: is UTF-16 and not UTF-8"),
    ],
)
def test_a_broken_line_is_named(content: bytes, said: str):
    with pytest.raises(DataError) as error:
        read(content)
    assert str(error.value).startswith(said)


def test_what_comes_before_a_broken_line_is_still_given():
    stream = read_stream(io.BytesIO(b"good\n\xff\n"), source="stdin")
    assert next(stream).text == "good"


# --- streams ---


class Endless:
    """A stream that counts what was taken from it."""

    def __init__(self) -> None:
        self.taken = 0

    def __iter__(self) -> Iterator[Document]:
        for number in count():
            self.taken += 1
            yield Document(GOLD[number % 10].text, id=str(number))


def test_a_stream_is_written_chunk_by_chunk_and_holds_no_more_than_one(extractor: Extractor):
    source, flushed = Endless(), []

    class Sink(io.BytesIO):
        def flush(self) -> None:
            flushed.append((source.taken, self.getvalue().count(b"\n")))

    assert extract_stream(extractor, islice(source, 20), Sink(), chunk=6) == 20
    assert flushed == [(6, 6), (12, 12), (18, 18), (20, 20)]


def test_chinese_is_written_as_it_is_and_a_lone_surrogate_as_its_escape(extractor: Extractor):
    sink = io.BytesIO()
    extract_stream(extractor, read(b'{"text": "\\u4e2d \\ud800"}\n'), sink)
    assert "中 \\ud800" in sink.getvalue().decode()
    assert json.loads(sink.getvalue())["text"] == "中 \ud800"


# --- files ---


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Fifty documents and some blank lines."""
    path = tmp_path / "in.jsonl"
    lines = [json.dumps({"text": GOLD[number % 10].text, "id": f"n{number}"}) for number in range(50)]
    path.write_text("\n\n".join(lines) + "\n", "utf-8")
    return path


def unbroken(extractor: Extractor, source: Path) -> bytes:
    output = source.with_name("unbroken.jsonl")
    assert extract_file(extractor, source, output, chunk=CHUNK) == 50
    return output.read_bytes()


def test_the_output_is_what_evaluate_reads(extractor: Extractor, tmp_path: Path):
    (tmp_path / "in.txt").write_text("\n".join(item.text for item in GOLD), "utf-8")
    extract_file(extractor, tmp_path / "in.txt", tmp_path / "out.jsonl")
    reading = read_documents(tmp_path / "out.jsonl")
    assert reading.format == "native"
    assert evaluate(GOLD, reading.documents).to_json()["relations"]["f1"] == 1.0


def test_progress_counts_documents_and_bytes(extractor: Extractor, source: Path, tmp_path: Path):
    seen: list[Progress] = []
    extract_file(extractor, source, tmp_path / "out.jsonl", chunk=CHUNK, report=seen.append)
    assert [item.documents for item in seen] == [8, 16, 24, 32, 40, 48, 50]
    assert seen[-1].position == source.stat().st_size


def test_nothing_but_the_output_is_left(extractor: Extractor, source: Path, tmp_path: Path):
    extract_file(extractor, source, tmp_path / "new" / "out.jsonl", chunk=CHUNK)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["out.jsonl"]


def _extract(model: Path, source: Path, output: Path, kill_at: int | None, half: bool) -> None:
    """In another process; killed while it writes document number `kill_at`, perhaps after half of it."""
    to_json, calls = Document.to_json, count(1)

    def counted(self: Document) -> dict[str, Any]:
        if next(calls) == kill_at:
            if half:
                with output.with_name(output.name + ".partial").open("ab") as file:
                    file.write(b'{"id": "n')
            os.kill(os.getpid(), signal.SIGKILL)
        return to_json(self)

    Document.to_json = counted
    extract_file(Extractor.from_pretrained(model, device="cpu"), source, output, chunk=CHUNK)


@pytest.mark.parametrize("kill_at", [1, 9, 20, 50])
def test_killed_and_begun_again_gives_the_same_bytes(kill_at: int, fitted: Path, extractor: Extractor, source: Path):
    expected = unbroken(extractor, source)
    output = source.with_name("out.jsonl")
    process = PROCESSES.Process(target=_extract, args=(fitted, source, output, kill_at, kill_at % 2 == 0))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL and not output.exists()
    done: list[Progress] = []
    assert extract_file(extractor, source, output, chunk=CHUNK, report=done.append) == 50
    assert output.read_bytes() == expected
    assert done[0].documents == min(50, (kill_at - 1) // CHUNK * CHUNK + CHUNK)


def partial(extractor: Extractor, source: Path) -> Path:
    """The output of a job that stopped after its first chunk."""

    def stop(done: Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        extract_file(extractor, source, source.with_name("out.jsonl"), chunk=CHUNK, report=stop)
    return source.with_name("out.jsonl")


def test_what_an_interrupted_job_keeps_is_counted_in_whole_chunks(extractor: Extractor, source: Path):
    assert kept(source.with_name("out.jsonl"), chunk=CHUNK) == 0
    output = partial(extractor, source)
    with output.with_name("out.jsonl.partial").open("ab") as file:
        file.write(b'{"text": "of a batch that was not whole"}\n{"te')
    assert kept(output, chunk=CHUNK) == CHUNK


def test_lines_beyond_a_whole_chunk_are_computed_again(extractor: Extractor, source: Path):
    expected = unbroken(extractor, source)
    output = partial(extractor, source)
    with output.with_name("out.jsonl.partial").open("ab") as file:
        file.write(b'{"text": "of a batch that was not whole"}\n{"te')
    extract_file(extractor, source, output, chunk=CHUNK)
    assert output.read_bytes() == expected


@pytest.mark.parametrize(
    ("other", "named"),
    [
        (lambda extractor: extractor.with_threshold(0.9), "thresholds"),
        (lambda extractor: extractor.with_schema({"causes": {"functional": True}}), "constraints"),
        (lambda extractor: Extractor(_changed(extractor), device="cpu"), "model"),
    ],
)
def test_a_partial_output_of_another_extractor_is_refused(other: Any, named: str, extractor: Extractor, source: Path):
    output = partial(extractor, source)
    before = output.with_name("out.jsonl.partial").read_bytes()
    with pytest.raises(OptionError, match=rf"out\.jsonl\.partial was begun with another {named}: remove it"):
        extract_file(other(extractor), source, output, chunk=CHUNK)
    assert output.with_name("out.jsonl.partial").read_bytes() == before


def _changed(extractor: Extractor) -> Any:
    from kexue.extraction.checkpoint import Checkpoint

    tokenizer = extractor.tokenizer.tokenizer
    return Checkpoint(extractor.model, tokenizer, extractor.decision, fingerprint="another")


def test_a_partial_output_of_another_input_or_batch_is_refused(extractor: Extractor, source: Path):
    output = partial(extractor, source)
    with pytest.raises(OptionError, match="another options"):
        extract_file(extractor, source, output, chunk=CHUNK, batch_tokens=100)
    with source.open("a") as file:
        file.write('{"text": "more"}\n')
    with pytest.raises(OptionError, match="another input"):
        extract_file(extractor, source, output, chunk=CHUNK)


def test_a_broken_line_stops_the_job_and_once_mended_it_goes_on(extractor: Extractor, source: Path):
    lines = source.read_text("utf-8").splitlines()
    broken = source.with_name("broken.jsonl")
    broken.write_text("\n".join([*lines[:60], "{", *lines[60:]]), "utf-8")
    with pytest.raises(DataError, match=r"broken\.jsonl:61: is not a JSON record"):
        extract_file(extractor, broken, source.with_name("out.jsonl"), chunk=CHUNK)
    assert not source.with_name("out.jsonl").exists()


@pytest.mark.parametrize("name", ["empty.txt", "none.txt", "folder"])
def test_an_input_that_holds_nothing_is_refused(name: str, extractor: Extractor, tmp_path: Path):
    (tmp_path / "empty.txt").touch()
    (tmp_path / "folder").mkdir()
    with pytest.raises(DataError, match=name):
        extract_file(extractor, tmp_path / name, tmp_path / "out.jsonl")
    assert not list(tmp_path.glob("out*"))


def test_two_jobs_never_write_the_same_output(extractor: Extractor, source: Path, tmp_path: Path):
    output = tmp_path / "out.jsonl"

    def begin_another(progress: Progress) -> None:
        with pytest.raises(OptionError, match=r"out\.jsonl\.partial is being written by another process"):
            extract_file(extractor, source, output, chunk=CHUNK)

    extract_file(extractor, source, output, chunk=CHUNK, report=begin_another)
    assert output.read_bytes() == unbroken(extractor, source)


def test_the_input_is_never_overwritten(extractor: Extractor, source: Path, tmp_path: Path):
    before = source.read_bytes()
    with pytest.raises(OptionError, match="not the input"):
        extract_file(extractor, source, tmp_path / "." / "in.jsonl")
    with pytest.raises(OptionError, match="not a folder"):
        extract_file(extractor, source, tmp_path)
    assert source.read_bytes() == before


def test_a_finished_output_is_replaced_only_where_that_is_asked(extractor: Extractor, source: Path):
    expected = unbroken(extractor, source)
    output = source.with_name("unbroken.jsonl")
    output.write_text("of last week")
    with pytest.raises(OptionError, match=r"unbroken\.jsonl is there already .* --overwrite it"):
        extract_file(extractor, source, output, chunk=CHUNK)
    assert output.read_text() == "of last week"

    def stop(done: Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        extract_file(extractor, source, output, chunk=CHUNK, overwrite=True, report=stop)
    assert output.read_text() == "of last week"  # until the other one is whole
    done: list[Progress] = []
    assert extract_file(extractor, source, output, chunk=CHUNK, overwrite=True, report=done.append) == 50
    assert done[0].documents == 2 * CHUNK and output.read_bytes() == expected


def test_the_fingerprint_of_a_large_file_reads_both_ends(tmp_path: Path):
    path = tmp_path / "large"
    path.write_bytes(b"a" * 2**21 + b"b")
    first = fingerprint(path)
    path.write_bytes(b"a" * 2**21 + b"c")
    assert fingerprint(path) != first
