"""CLUENER: ends inclusive become ends exclusive, and what its offsets do not show stays in the gold count."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kexue.errors import DataError
from kexue.extraction.document import Span
from kexue.extraction.formats import cluener
from kexue.extraction.formats.source import Sample

RECORD = {
    "text": "浙商银行的😀叶老桂说，叶老桂走了",
    "label": {"name": {"叶老桂": [[6, 8], [11, 13]]}, "company": {"浙商银行": [[0, 3]]}},
}


def write(tmp_path: Path, *records: object) -> Path:
    path = tmp_path / "train.json"
    path.write_text("\n".join(json.dumps(record, ensure_ascii=False) for record in records), encoding="utf-8")
    return path


def test_every_place_of_a_mention_becomes_a_span_that_shows_it(tmp_path):
    (document,) = cluener.read(write(tmp_path, RECORD))
    assert document.entities == [Span(6, 9, "name"), Span(11, 14, "name"), Span(0, 4, "company")]
    assert [span.surface(document.text) for span in document.entities] == ["叶老桂", "叶老桂", "浙商银行"]


@pytest.mark.parametrize("place", [[5, 7], [-5, -3], [100, 102]])
def test_a_mention_that_its_offsets_do_not_show_is_kept_as_unaligned(tmp_path, place):
    (document,) = cluener.read(write(tmp_path, {**RECORD, "label": {"name": {"叶老桂": [place]}}}))
    assert document.entities == []
    assert [(item.kind, item.label, item.strings) for item in document.unaligned] == [("entity", "name", ("叶老桂",))]


def test_a_text_without_labels_is_read_as_one_without_annotation(tmp_path):
    (document,) = cluener.read(write(tmp_path, {"id": 0, "text": "四川"}))
    assert (document.text, document.id, document.entities) == ("四川", "0", [])


def test_the_shape_is_recognised_by_labels_that_hold_mentions():
    assert cluener.detect(Sample(Path("x"), "", RECORD))
    assert not cluener.detect(Sample(Path("x"), "", {"text": "a", "label": [[0, 1, "x"]]}))
    assert not cluener.detect(Sample(Path("x"), "", None))


def test_a_truncated_file_names_the_line(tmp_path):
    path = write(tmp_path, RECORD, RECORD)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(DataError, match=r"train.json:2: is not a JSON record"):
        list(cluener.read(path))


def test_an_empty_file_and_another_encoding_are_refused(tmp_path):
    path = write(tmp_path)
    with pytest.raises(DataError, match=r"train.json: is empty"):
        list(cluener.read(path))
    path.write_bytes(json.dumps(RECORD, ensure_ascii=False).replace("😀", "").encode("gb18030"))
    with pytest.raises(DataError, match=r"train.json:1: is not UTF-8 .* iconv -f GB18030"):
        list(cluener.read(path))


@pytest.mark.parametrize("labels", [{"name": [[0, 1]]}, {"name": {"叶": [0, 1]}}, ["name"]])
def test_labels_of_another_shape_are_refused_with_the_line(tmp_path, labels):
    path = write(tmp_path, RECORD, {"text": "叶老桂", "label": labels})
    with pytest.raises(DataError, match=r"train.json:2: 'label' must go from type to mention"):
        list(cluener.read(path))


def test_the_published_counts_are_read_from_the_real_files(shared_data):
    documents = list(cluener.read(shared_data / "cluener" / "dev.json"))
    assert (len(documents), sum(len(document.entities) for document in documents)) == (1343, 3072)
    assert not any(document.unaligned for document in documents)
