"""Many files to a folder of shards: what the plain engine finds, resumed to the byte, and nothing lost or doubled."""

from __future__ import annotations

import json
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import pytest

from kexue.errors import CheckpointError, DataError, OptionError
from kexue.extraction.document import Document
from kexue.pipelines import bulk_extraction
from kexue.pipelines.bulk import extract_file
from kexue.pipelines.bulk_extraction import Extraction, ExtractionOptions, extract_folder
from kexue.pipelines.extractor import Extractor
from kexue.pipelines.pieces import Piece
from kexue.pipelines.sharded import Done, OneByOne, Total, Work
from tests.training.tiny import sentences

parquet = pytest.importorskip("pyarrow.parquet", reason="the parquet extra is not installed")

GOLD = sentences(10)
SIZE = 8
HERE = OneByOne("cpu")
OPTIONS = ExtractionOptions()


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk_extraction, "CHUNK", 4)


def lines(numbers: range) -> str:
    return "".join(json.dumps({"text": GOLD[number % 10].text, "id": f"n{number}"}) + "\n" for number in numbers)


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    """Fifty documents in two files, in seven pieces."""
    folder = tmp_path / "texts"
    (folder / "more").mkdir(parents=True)
    (folder / "a.jsonl").write_text(lines(range(30)), "utf-8")
    (folder / "more" / "b.jsonl").write_text(lines(range(30, 50)), "utf-8")
    return folder


def extract(model: Path, given: Path, output: Path, options: ExtractionOptions = OPTIONS, **more: Any) -> Total:
    return extract_folder(str(model), given, output, options, **{"shard_size": SIZE, "engine": HERE} | more)


def shards(output: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(output.iterdir()) if path.is_file()}


def records(output: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for content in shards(output).values() for line in content.splitlines()]


def test_the_shards_together_are_what_a_file_gives(fitted: Path, extractor: Extractor, texts: Path, tmp_path: Path):
    total = extract(fitted, texts, tmp_path / "out")
    assert total == Total(done=7, pieces=7, items=50, rejected=0)
    whole = tmp_path / "whole.jsonl"
    whole.write_text(lines(range(50)), "utf-8")
    extract_file(extractor, whole, tmp_path / "plain.jsonl", chunk=4)
    assert list(shards(tmp_path / "out")) == [f"part-0000{index}.jsonl" for index in range(7)]
    assert b"".join(shards(tmp_path / "out").values()) == (tmp_path / "plain.jsonl").read_bytes()
    assert sorted(path.name for path in (tmp_path / "out").iterdir() if path.is_dir()) == ["_job"]


def test_a_document_without_an_id_knows_its_file_and_line(fitted: Path, tmp_path: Path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.txt").write_text(GOLD[0].text + "\n\n" + GOLD[1].text, "utf-8")
    extract(fitted, tmp_path / "in", tmp_path / "out", shard_size=2)
    assert [record["meta"] for record in records(tmp_path / "out")] == [
        {"line": 1, "file": "a.txt"},
        {"line": 3, "file": "a.txt"},
    ]


def test_bad_documents_are_in_quarantine_and_all_others_extracted(fitted: Path, texts: Path, tmp_path: Path):
    broken = (texts / "a.jsonl").read_bytes().splitlines(keepends=True)
    broken[3] = b'{"text": 3}\n'
    broken[20] = b"\xff\n"
    broken[21] = b"{\n"
    (texts / "a.jsonl").write_bytes(b"".join(broken))
    assert extract(fitted, texts, tmp_path / "out") == Total(done=7, pieces=7, items=47, rejected=3)
    found = {record["id"] for record in records(tmp_path / "out")}
    assert found == {f"n{number}" for number in range(50)} - {"n3", "n20", "n21"}
    quarantine = tmp_path / "out" / "_quarantine"
    assert sorted(path.name for path in quarantine.iterdir()) == ["00000.jsonl", "00002.jsonl"]
    rejects = [json.loads(line) for line in (quarantine / "00002.jsonl").read_text("utf-8").splitlines()]
    assert [(reject["file"], reject["line"]) for reject in rejects] == [("a.jsonl", 21), ("a.jsonl", 22)]
    assert rejects[0]["content_base64"] == "/wo=" and rejects[1]["content"] == "{\n"


def test_an_input_without_any_document_is_a_mistake(fitted: Path, tmp_path: Path):
    (tmp_path / "a.jsonl").write_text("{\n" * 10)
    with pytest.raises(DataError, match=r"a\.jsonl: none of its 10 lines could be read"):
        extract(fitted, tmp_path / "a.jsonl", tmp_path / "out")


def test_parquet_in_and_out_hold_what_lines_hold(fitted: Path, texts: Path, tmp_path: Path):
    extract(fitted, texts, tmp_path / "lines")
    extract(fitted, texts, tmp_path / "rows", ExtractionOptions(form="parquet"))
    table = parquet.read_table(tmp_path / "rows", filesystem=None)
    assert table.num_rows == 50
    expected = [Document.from_json(record) for record in records(tmp_path / "lines")]
    assert [Document.from_json(_without_none(row)) for row in table.to_pylist()] == expected
    assert extract(fitted, tmp_path / "rows", tmp_path / "again").items == 50
    again = {record["id"]: record["relations"] for record in records(tmp_path / "again")}
    assert again == {record["id"]: record["relations"] for record in records(tmp_path / "lines")}


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_none(item) for key, item in value.items() if item is not None}
    return [_without_none(item) for item in value] if isinstance(value, list) else value


def test_a_lone_surrogate_goes_into_lines_and_not_into_parquet(fitted: Path, tmp_path: Path):
    (tmp_path / "a.jsonl").write_text('{"text": "a \\ud800"}\n{"text": "b"}\n')
    assert extract(fitted, tmp_path / "a.jsonl", tmp_path / "lines").rejected == 0
    total = extract(fitted, tmp_path / "a.jsonl", tmp_path / "rows", ExtractionOptions(form="parquet"))
    assert (total.items, total.rejected) == (1, 1)
    (reject,) = (tmp_path / "rows" / "_quarantine" / "00000.jsonl").read_text("utf-8").splitlines()
    assert "lone surrogate at character 2" in json.loads(reject)["reason"]


# --- resuming ---


class StoppedError(Exception):
    pass


def stop_after(count: int) -> Any:
    def engine(work: Work, pieces: Sequence[Any]) -> Generator[Done]:
        for number, done in enumerate(HERE(work, pieces)):
            if number == count:
                raise StoppedError  # this piece has its shard, and nobody noted it
            yield done

    return engine


@pytest.fixture
def begun(fitted: Path, texts: Path, tmp_path: Path) -> Path:
    """The output of a job that stopped when three pieces of seven were done and noted."""
    with pytest.raises(StoppedError):
        extract(fitted, texts, tmp_path / "out", engine=stop_after(3))
    return tmp_path / "out"


def counting(seen: list[int]) -> Any:
    def engine(work: Work, pieces: Sequence[Any]) -> Generator[Done]:
        seen.extend(piece.index for piece in pieces)
        yield from HERE(work, pieces)

    return engine


def test_a_job_goes_on_where_it_stopped_and_its_output_is_that_of_an_unbroken_one(
    begun: Path, fitted: Path, texts: Path, tmp_path: Path
):
    assert len(shards(begun)) == 4
    redone: list[int] = []
    assert extract(fitted, texts, begun, engine=counting(redone)) == Total(7, 7, 50, 0)
    assert redone == [3, 4, 5, 6]
    extract(fitted, texts, tmp_path / "unbroken")
    assert shards(begun) == shards(tmp_path / "unbroken")
    redone.clear()
    assert extract(fitted, texts, begun, engine=counting(redone)).items == 50
    assert redone == []


def test_a_note_cut_short_and_a_shard_that_is_gone_or_of_another_size_are_done_again(
    begun: Path, fitted: Path, texts: Path, tmp_path: Path
):
    log = begun / "_job" / "done.jsonl"
    log.write_bytes(log.read_bytes()[:-9])
    (begun / "part-00000.jsonl").unlink()
    (begun / "part-00001.jsonl").write_bytes(b"")
    (begun / ".part-00005.jsonl.xyz.partial").write_bytes(b"half of a sha")
    redone: list[int] = []
    assert extract(fitted, texts, begun, engine=counting(redone)).items == 50
    assert redone == list(range(7))
    extract(fitted, texts, tmp_path / "unbroken")
    assert shards(begun) == shards(tmp_path / "unbroken")


def test_new_files_are_done_too_and_the_old_ones_not_again(begun: Path, fitted: Path, texts: Path):
    (texts / "0.jsonl").write_text(lines(range(50, 60)), "utf-8")  # before the others by name
    before = shards(begun)
    assert extract(fitted, texts, begun) == Total(9, 9, 60, 0)
    assert {record["id"] for record in records(begun)} == {f"n{number}" for number in range(60)}
    assert all(shards(begun)[name] == content for name, content in before.items())


@pytest.mark.parametrize(
    ("options", "more", "named"),
    [
        (ExtractionOptions(threshold=0.9), {}, "thresholds"),
        (ExtractionOptions(dtype="bfloat16"), {}, "dtype"),
        (ExtractionOptions(batch_tokens=7), {}, "options"),
        (ExtractionOptions(max_characters=7), {}, "options"),
        (ExtractionOptions(form="parquet"), {}, "format"),
        (OPTIONS, {"shard_size": 9}, "shard size"),
    ],
)
def test_other_options_in_the_same_folder_are_refused(
    options: ExtractionOptions, more: dict[str, Any], named: str, begun: Path, fitted: Path, texts: Path
):
    before = shards(begun)
    with pytest.raises(OptionError, match=rf"out was begun with another {named}: remove it"):
        extract(fitted, texts, begun, options, **more)
    assert shards(begun) == before


def test_another_model_in_the_same_folder_is_refused(begun: Path, fitted: Path, texts: Path, tmp_path: Path):
    another = retouched(fitted, tmp_path / "another")
    with pytest.raises(OptionError, match="out was begun with another model"):
        extract(another, texts, begun)


def retouched(model: Path, folder: Path) -> Path:
    """The same model with another note in its manifest, which makes it another one."""
    import shutil

    shutil.copytree(model, folder)
    manifest = json.loads((folder / "kexue.json").read_text("utf-8"))
    (folder / "kexue.json").write_text(json.dumps(manifest | {"recipe": {"seed": 5}}))
    return folder


def test_a_worker_with_another_model_under_the_same_name_refuses(fitted: Path, texts: Path, tmp_path: Path):
    work = Extraction(str(fitted), OPTIONS, texts, tmp_path, "another")
    with pytest.raises(CheckpointError, match="a worker has another model under this name"):
        work.open("cpu")


def test_input_that_has_changed_or_is_gone_is_named(begun: Path, fitted: Path, texts: Path):
    changed = texts / "a.jsonl"
    before = changed.read_bytes()
    changed.write_bytes(before + b'{"text": "more"}\n')
    with pytest.raises(DataError, match=r"texts/a\.jsonl: has changed since .*out was begun"):
        extract(fitted, texts, begun)
    changed.unlink()
    with pytest.raises(DataError, match=r"texts/a\.jsonl: was part of the input when .*out was begun, and is gone"):
        extract(fitted, texts, begun)
    changed.write_bytes(before)
    assert extract(fitted, texts, begun).items == 50


# --- what does not go ---


def test_shards_are_never_their_own_input(fitted: Path, texts: Path):
    for place in (texts, texts / "more"):
        with pytest.raises(OptionError, match="the input lies in this folder"):
            extract(fitted, texts, place)
    inside = texts / "facts"
    assert extract(fitted, texts, inside).items == 50
    assert extract(fitted, texts, inside).items == 50


def test_two_jobs_never_write_the_same_folder(fitted: Path, texts: Path, tmp_path: Path):
    def begin_another(total: Total) -> None:
        with pytest.raises(OptionError, match="out is being written by another process"):
            extract(fitted, texts, tmp_path / "out")

    assert extract(fitted, texts, tmp_path / "out", report=begin_another).items == 50


@pytest.mark.parametrize(
    ("options", "place", "said"),
    [
        (ExtractionOptions(form="jsonlines"), "out", "Did you mean 'jsonl'?"),
        (OPTIONS, "file", "file: is a file, and shards are written to a folder"),
        (ExtractionOptions(precision=0.5), "out", "no thresholds for precision 0.5"),
    ],
)
def test_mistakes_are_named_before_any_work(
    options: ExtractionOptions, place: str, said: str, fitted: Path, texts: Path, tmp_path: Path
):
    (tmp_path / "file").touch()
    with pytest.raises(OptionError, match=said.replace("?", r"\?")):
        extract(fitted, texts, tmp_path / place, options)


def test_a_damaged_book_is_named(begun: Path, fitted: Path, texts: Path):
    (begun / "_job" / "job.json").write_text("{")
    with pytest.raises(DataError, match=r"job\.json: is damaged: remove the folder"):
        extract(fitted, texts, begun)


def test_pieces_that_no_worker_survives_are_named_when_all_others_are_done(fitted: Path, texts: Path, tmp_path: Path):
    def deadly(work: Work, pieces: Sequence[Piece]) -> Generator[Done]:
        yield from HERE(work, [piece for piece in pieces if piece.index not in (2, 5)])

    with pytest.raises(DataError, match=r"a\.jsonl:17: the documents from here to line 24 \(and 1 more pieces\) ended"):
        extract(fitted, texts, tmp_path / "out", engine=deadly)
    assert len(records(tmp_path / "out")) == 50 - 8 - 8
    assert extract(fitted, texts, tmp_path / "out").items == 50
