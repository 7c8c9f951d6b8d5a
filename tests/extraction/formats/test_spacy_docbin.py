"""DocBin: entities, span groups and the tutorial's relations, from files that spaCy itself wrote."""

from __future__ import annotations

import random
import sys
import zlib
from pathlib import Path

import pytest

from kexue import files
from kexue.errors import DataError, OptionError
from kexue.extraction.document import Document, Relation, Span
from kexue.extraction.formats import spacy_docbin
from kexue.extraction.formats.source import Sample
from tests.hostile import damage_bytes

spacy = pytest.importorskip("spacy", reason="the spacy extra is not installed")

TEXT = "😀 Aspirin  caused\r\na rash é\n阿司匹林."


def write(path: Path, *, rel: object = None) -> Path:
    """A DocBin with "Aspirin" and "rash" as entities, "a rash" in a span group, and user data."""
    nlp = spacy.blank("en")
    doc = nlp(TEXT)
    doc.ents = [doc.char_span(2, 9, label="drug"), doc.char_span(21, 25, label="effect")]
    doc.spans["sc"] = [doc.char_span(19, 25, label="phrase"), doc.ents[0]]
    if rel is not None:
        doc.user_data["._.", "rel", None, None] = rel(doc.ents)
    spacy.tokens.DocBin(docs=[doc], store_user_data=True).to_disk(path)
    return path


def test_entities_and_span_groups_keep_their_characters(tmp_path):
    (document,) = spacy_docbin.read(write(tmp_path / "a.spacy"))
    assert document.text == TEXT
    assert [(span.surface(TEXT), span.label) for span in document.entities] == [
        ("Aspirin", "drug"),
        ("rash", "effect"),
        ("a rash", "phrase"),
    ]


def test_relations_of_the_tutorial_are_read_with_their_scores(tmp_path):
    def rel(ents):
        drug, effect = (ent.start for ent in ents)
        return {(drug, effect): {"causes": 1.0, "treats": 0.2}, (effect, drug): {"follows": 0.75, "after": 3.2}}

    (document,) = spacy_docbin.read(write(tmp_path / "a.spacy", rel=rel))
    drug, effect = Span(2, 9, "drug"), Span(21, 25, "effect")
    assert document.relations == [
        Relation(drug, "causes", effect),
        Relation(effect, "follows", drug),
        Relation(effect, "after", drug),
    ]
    assert [relation.score for relation in document.relations] == [None, 0.75, None]


def test_relations_of_another_shape_are_refused_with_the_document(tmp_path):
    path = write(tmp_path / "a.spacy", rel=lambda ents: {(0, 99): {"causes": 1.0}})
    with pytest.raises(DataError, match=r"a.spacy: document 1: .*doc._.rel go from"):
        list(spacy_docbin.read(path))


def test_truncated_empty_missing_and_mis_encoded_files_are_refused(tmp_path):
    path = write(tmp_path / "a.spacy")
    for data, message in (
        (path.read_bytes()[:-40], "is not a whole spaCy DocBin"),
        (TEXT.replace("é", "").encode("gb18030"), "is not a whole spaCy DocBin"),
        (b"", "is empty"),
    ):
        path.write_bytes(data)
        with pytest.raises(DataError, match=f"a.spacy: {message}"):
            list(spacy_docbin.read(path))
    with pytest.raises(DataError, match=r"b.spacy: cannot be read"):
        list(spacy_docbin.read(tmp_path / "b.spacy"))


def test_without_spacy_the_message_names_the_extra(tmp_path, monkeypatch):
    path = write(tmp_path / "a.spacy")
    monkeypatch.setitem(sys.modules, "spacy.tokens", None)
    with pytest.raises(OptionError, match=r"pip install 'kexue\[spacy\]'"):
        list(spacy_docbin.read(path))


def test_the_file_is_recognised_by_its_name():
    assert spacy_docbin.detect(Sample(Path("train.spacy"), "", None))
    assert not spacy_docbin.detect(Sample(Path("train.json"), "", None))


def test_damage_inside_and_outside_of_the_compression_is_refused_with_the_path(tmp_path):
    whole = write(tmp_path / "a.spacy", rel=lambda ents: {(ents[0].start, ents[1].start): {"causes": 1.0}}).read_bytes()
    path, refused = tmp_path / "b.spacy", 0
    for index in range(200):
        chance = random.Random(index)
        inside = index % 4
        path.write_bytes(
            zlib.compress(damage_bytes(zlib.decompress(whole), chance)) if inside else damage_bytes(whole, chance)
        )
        try:
            for document in spacy_docbin.read(path):
                assert Document.from_json(document.to_json()) == document
        except DataError as error:
            assert error.path == path
            refused += 1
    assert refused > 150


def test_a_file_that_expands_without_measure_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "MOST", 2**20)
    path = tmp_path / "a.spacy"
    path.write_bytes(zlib.compress(bytes(2**24)))
    with pytest.raises(DataError, match=r"a\.spacy: expands to more than"):
        list(spacy_docbin.read(path))
