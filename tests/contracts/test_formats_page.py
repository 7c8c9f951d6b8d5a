"""docs/formats.md is true: it names every format, and its examples are detected and read as what they are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from kexue.extraction.formats import FORMATS, read_documents

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "formats.md").read_text("utf-8")
EXAMPLES = re.findall(r"^```(json|text) (\w+)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
WITHOUT_EXAMPLE = {"brat", "spacy_docbin", "csv", "parquet"}  # a folder, and files that are not text or only written


def test_every_format_has_a_row_and_every_text_format_an_example():
    rows = " ".join(re.findall(r"^\| (`.*?`) \|", PAGE.split("## native")[0], re.MULTILINE))
    assert set(re.findall(r"`(\w+)`", rows)) == FORMATS.keys()
    assert {name for _, name, _ in EXAMPLES} == FORMATS.keys() - WITHOUT_EXAMPLE


@pytest.mark.parametrize(("suffix", "name", "example"), EXAMPLES, ids=[name for _, name, _ in EXAMPLES])
def test_an_example_is_detected_as_its_format_and_means_what_it_seems_to(
    suffix: str, name: str, example: str, tmp_path: Path
):
    path = tmp_path / f"example.{suffix}"
    path.write_text(example, "utf-8")
    reading = read_documents(path)
    assert reading.format == name
    (document,) = reading.documents
    assert document.entities or document.relations or document.events
    if document.text.startswith("Aspirin"):
        (relation,) = document.relations
        assert relation.subject.surface(document.text) == "Aspirin"
        assert relation.predicate == "causes"
        assert relation.object.surface(document.text) == "rash"


def test_the_brat_example_means_the_same(tmp_path: Path):
    annotation = re.findall(r"^```text\n(T1\t.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    (tmp_path / "a.txt").write_text("Aspirin caused a rash.", "utf-8")
    (tmp_path / "a.ann").write_text(annotation[0], "utf-8")
    (document,) = read_documents(tmp_path).documents
    (relation,) = document.relations
    assert (relation.subject.label, relation.predicate, relation.object.label) == ("Drug", "Causes", "Effect")
