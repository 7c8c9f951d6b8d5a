"""The data inside the package: what SOURCE.md states of it, and that it follows from the published files."""

from __future__ import annotations

import gzip
import importlib.util
import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from kexue.data import NAMES, SPLITS, demo_path
from kexue.errors import OptionError
from kexue.extraction.document import Document, Span

ROOT = Path(__file__).resolve().parents[2]


def documents(name: str, split: str) -> list[Document]:
    with gzip.open(demo_path(name, split), "rt", encoding="utf-8") as file:
        return [Document.from_json(json.loads(line)) for line in file]


@pytest.fixture(scope="module")
def phee() -> dict[str, Document]:
    return {str(document.id): document for split in SPLITS for document in documents("phee", split)}


@pytest.fixture(scope="module")
def build() -> ModuleType:
    spec = importlib.util.spec_from_file_location("build_demo_data", ROOT / "scripts" / "build_demo_data.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def facts(document: Document) -> set[tuple[str, str, str]]:
    return {
        (it.subject.surface(document.text), it.predicate, it.object.surface(document.text)) for it in document.relations
    }


def stated(name: str) -> dict[str, list[int]]:
    """The rows of the table of counts in a set's SOURCE.md, by split."""
    text = (demo_path(name, "train").parent / "SOURCE.md").read_text("utf-8")
    rows = re.findall(r"^\| (train|dev|test) \|(.*)\|$", text, re.MULTILINE)
    return {split: [int(cell.replace(",", "")) for cell in cells.split("|")] for split, cells in rows}


def test_all_data_together_stays_under_two_megabytes():
    files = [path for path in (ROOT / "src" / "kexue" / "data").rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 2_000_000


@pytest.mark.parametrize("name", NAMES)
def test_every_set_has_its_source_and_its_licence_beside_it(name: str):
    folder = demo_path(name, "train").parent
    assert "MIT License" in (folder / "LICENSE").read_text("utf-8")
    assert "commit" in (folder / "SOURCE.md").read_text("utf-8")


@pytest.mark.parametrize("split", SPLITS)
def test_the_counts_of_phee_are_those_that_its_source_states(split: str):
    read = documents("phee", split)
    labels = Counter(span.label for document in read for span in document.entities)
    predicates = Counter(relation.predicate for document in read for relation in document.relations)
    assert stated("phee")[split] == [
        len(read),
        *(labels[it] for it in ("drug", "effect", "disorder", "route", "dosage")),
        *(predicates[it] for it in ("causes", "treats", "has route", "has dosage")),
    ]


@pytest.mark.parametrize("split", SPLITS)
def test_the_counts_of_cnshipnet_are_those_that_its_source_states(split: str):
    read = documents("cnshipnet", split)
    relations = [relation for document in read for relation in document.relations]
    unaligned = [item for document in read for item in document.unaligned]
    predicates = {it.predicate for it in relations} | {it.label for it in unaligned}
    assert stated("cnshipnet")[split] == [len(read), len(relations), len(unaligned), len(predicates)]


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("name", NAMES)
def test_a_fact_stands_once_and_no_end_begins_or_ends_with_a_space(name: str, split: str):
    for document in documents(name, split):
        assert len(set(document.relations)) == len(document.relations)
        for end in (end for it in document.relations for end in (it.subject, it.object)):
            assert (surface := end.surface(document.text)) == surface.strip()


@pytest.mark.parametrize("split", SPLITS)
def test_the_ends_of_the_relations_of_phee_are_its_entities(split: str):
    for document in documents("phee", split):
        spans = set(document.entities)
        assert len(spans) == len(document.entities)
        assert spans >= {end for it in document.relations for end in (it.subject, it.object)}


def test_no_abstract_of_phee_is_in_two_splits():
    abstracts = [{str(it.id).split("_")[0] for it in documents("phee", split)} for split in SPLITS]
    assert sum(map(len, abstracts)) == len(set.union(*abstracts))


def test_a_combination_of_drugs_causes_the_effect_by_each_of_its_drugs(phee: dict[str, Document]):
    assert facts(phee["20076952_11"]) >= {
        ("itraconazole", "causes", "opioid-associated adverse effects"),
        ("oxycodone", "causes", "opioid-associated adverse effects"),
    }


def test_two_drugs_with_two_dosages_keep_each_its_own(phee: dict[str, Document]):
    dosages = {fact for fact in facts(phee["11144696_3"]) if fact[1] == "has dosage"}
    assert dosages == {("venlafaxine", "has dosage", "150 mg/d"), ("trimipramine", "has dosage", "50 mg/d")}


def test_a_negated_event_states_no_effect_and_keeps_its_spans(phee: dict[str, Document]):
    document = phee["3171334_5"]
    assert document.text == "Visual loss after a single small dose of vincristine has never been reported."
    assert {span.label for span in document.entities} == {"drug", "effect", "dosage"}
    assert facts(document) == {("vincristine", "has dosage", "small dose")}


def test_a_drug_whose_withdrawal_helped_is_not_said_to_treat(phee: dict[str, Document]):
    document = phee["2595431_3"]
    assert document.text == "Their parkinsonism improved on discontinuation of metoclopramide therapy."
    assert facts(document) == set()


def test_an_end_inside_a_word_moves_to_the_border_and_a_full_stop_is_left_out(build: ModuleType):
    text = "If tamoxifen fails: muscle pain."
    assert build.mend(7, 8, text) == (3, 12)
    assert build.mend(20, 32, text) == (20, 31)
    assert build.mend(3, 19, text) == (3, 18)


def test_an_abbreviation_inside_a_sentence_keeps_its_full_stop(build: ModuleType):
    assert build.mend(0, 4, "i.v. saline") == (0, 4)


def test_dosages_listed_after_their_drugs_are_paired_in_order(build: ModuleType):
    drugs, dosages = [Span(0, 1), Span(6, 7)], [Span(9, 14), Span(19, 24)]  # A and B (10 mg and 20 mg)
    assert list(build.paired(drugs, dosages)) == list(zip(drugs, dosages, strict=True))


def plain_causes(record: dict[str, Any]) -> Iterator[tuple[int, int]]:
    """Where drug and effect begin, of each adverse event with one of either in one piece."""
    for event in record["annotations"][0]["events"]:
        drug, effect = event.get("Treatment", {}).get("Drug"), event.get("Effect")
        if event["event_type"] == "Adverse_event" and "Negated" not in event and drug and effect:
            starts = [*drug["start"], *effect["start"]]
            if [len(pieces) for pieces in starts] == [1, 1] and len(drug["start"]) == 1:
                yield starts[0][0], starts[1][0]


def test_the_plainest_published_events_give_the_plainest_facts(shared_data: Path, phee: dict[str, Document]):
    seen = 0
    for split in SPLITS:
        lines = (shared_data / "phee" / f"{split}.json").read_text("utf-8").splitlines()
        for record in map(json.loads, lines):
            relations = [it for it in phee[record["id"]].relations if it.predicate == "causes"]
            for drug, effect in plain_causes(record):
                assert any(
                    it.subject.start <= drug < it.subject.end and it.object.start <= effect < it.object.end
                    for it in relations
                )
                seen += 1
    assert seen > 3000


def test_the_files_are_what_the_script_makes_of_the_published_ones(
    shared_data: Path, build: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(build, "TARGET", tmp_path)
    build.main(shared_data)
    for name in NAMES:
        for split in SPLITS:
            rebuilt = gzip.decompress((tmp_path / name / f"{split}.jsonl.gz").read_bytes())
            assert rebuilt == gzip.decompress(demo_path(name, split).read_bytes()), (name, split)


def test_nothing_of_cnshipnet_is_lost_between_the_published_triples_and_ours(shared_data: Path):
    for split in SPLITS:
        records = json.loads((shared_data / "cnshipnet" / f"{split}.json").read_text("utf-8"))
        read = documents("cnshipnet", split)
        assert [record["text"] for record in records] == [document.text for document in read]
        for record, document in zip(records, read, strict=True):
            triples = [(it["subject"], it["predicate"], it["object"]) for it in record["relation_list"]]
            kept = [(it.strings[0], it.label, it.strings[1]) for it in document.unaligned]
            # Where a string is not in the text, the rule takes it in another letter case: 9480KW for 9480kw.
            assert sorted(map(folded, {*facts(document), *kept})) == sorted(map(folded, set(triples)))


def folded(triple: tuple[str, str, str]) -> tuple[str, ...]:
    return tuple(part.strip().casefold() for part in triple)


def test_a_set_or_split_that_does_not_exist_is_answered_with_the_likely_one():
    with pytest.raises(OptionError, match="Did you mean 'phee'"):
        demo_path("phe", "train")
    with pytest.raises(OptionError, match="unknown split 'valid'"):
        demo_path("phee", "valid")
