"""The annotated sets of the studies are read as they lie in their folders."""

from __future__ import annotations

from pathlib import Path

import pytest

from kexue.errors import DataError, OptionError
from kexue.extraction.document import Document, Relation, Span
from kexue.extraction.formats import read_documents, write_documents
from kexue.studies import StudyOptions, annotated, run_study


def lay_out(folder: Path, name: str, each: int) -> None:
    """Files of the names of a set, with so many sentences."""
    for files in annotated.SETS[name].files.values():
        for file in files:
            documents = [
                Document(f"Bob {number} leads {file}", [], [Relation(Span(0, 3), "p", Span(4, 5))])
                for number in range(each)
            ]
            write_documents(documents, folder / file, "native")


@pytest.mark.parametrize("name", [name for name, own in annotated.SETS.items() if own.files])
def test_a_set_is_read_from_its_folder_and_no_sentence_is_in_two_splits(tmp_path: Path, name: str):
    lay_out(tmp_path, name, 20)
    splits = annotated.read(name, StudyOptions(tmp_path, data={name: tmp_path}))
    texts = [document.text for documents in splits.values() for document in documents]
    files = [file for files in annotated.SETS[name].files.values() for file in files]
    assert len(texts) == len(set(texts)) == 20 * len(files)
    assert len(splits["test"]) == 20 and len(splits["dev"]) == (4 if name == "duie" else 20)
    assert all(file in " ".join(texts) for file in files)


def test_what_is_held_out_is_the_same_again(tmp_path: Path):
    lay_out(tmp_path, "duie", 20)
    first, second = (annotated.read("duie", StudyOptions(tmp_path, data={"duie": tmp_path})) for _ in range(2))
    assert first == second


def test_of_every_split_so_many_are_taken_and_written(tmp_path: Path):
    splits = annotated.read("phee", StudyOptions(tmp_path), 3)
    files = annotated.write(splits, tmp_path / "sentences", "phee")
    for split, path in files.items():
        assert read_documents(path).documents == splits[split]
        assert len(splits[split]) == 3


def test_the_encoder_is_that_of_the_language_and_a_folder_takes_its_place(tmp_path: Path):
    options = StudyOptions(tmp_path, data={"m3e": tmp_path})
    assert annotated.encoder("duie", options) == str(tmp_path)
    assert annotated.encoder("webnlg", options) == "minilm"
    assert annotated.encoder("duie", StudyOptions(tmp_path)) == annotated.ENCODERS["m3e"]
    assert annotated.given(options) == ["phee"]


@pytest.mark.parametrize("study", ["heads", "divergence"])
def test_a_data_set_that_is_not_known_or_not_there_is_refused(tmp_path: Path, study: str):
    with pytest.raises(OptionError, match="Did you mean 'conll04'"):
        run_study(study, StudyOptions(tmp_path, data={"conll4": tmp_path}))
    with pytest.raises(DataError, match="is not a folder"):
        run_study(study, StudyOptions(tmp_path, data={"conll04": tmp_path / "nowhere"}))
    with pytest.raises(DataError, match=r"conll04_train\.json"):
        run_study(study, StudyOptions(tmp_path, data={"conll04": tmp_path}))
